-- How much a message weighs, beside its state: what waits is weighed by reading one index.
ALTER TABLE deliveries ADD COLUMN octets integer NOT NULL DEFAULT 0;

UPDATE deliveries d SET octets = octet_length(e.raw)
FROM emails e WHERE e.id = d.email_id AND e.raw IS NOT NULL AND d.status <> 'sent';

DROP INDEX deliveries_due;
CREATE INDEX deliveries_due ON deliveries (lane, due_at, email_id) INCLUDE (octets) WHERE status = 'queued';
