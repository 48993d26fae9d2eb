DROP TABLE idempotency_keys;
DROP TABLE deliveries;
DROP TABLE emails;
