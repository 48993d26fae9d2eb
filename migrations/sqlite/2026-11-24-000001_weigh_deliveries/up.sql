-- How much a message weighs, beside its state: what waits is weighed by reading one index.
ALTER TABLE deliveries ADD COLUMN octets INTEGER NOT NULL DEFAULT 0;

UPDATE deliveries SET octets = COALESCE((SELECT length(raw) FROM emails WHERE id = email_id), 0)
WHERE status <> 'sent';

DROP INDEX deliveries_due;
CREATE INDEX deliveries_due ON deliveries (lane, due_at, email_id, octets) WHERE status = 'queued';
