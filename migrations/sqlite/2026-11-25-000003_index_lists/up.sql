-- Lists by a status that few messages have.
CREATE INDEX deliveries_ended ON deliveries (status, email_id) WHERE status IN ('failed', 'cancelled', 'unknown');
