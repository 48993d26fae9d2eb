ALTER TABLE deliveries DROP COLUMN rescheduled_at;
