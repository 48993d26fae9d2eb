DROP INDEX deliveries_due;
CREATE INDEX deliveries_due ON deliveries (lane, due_at, email_id) WHERE status = 'queued';
ALTER TABLE deliveries DROP COLUMN octets;
