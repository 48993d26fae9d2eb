-- What a person moved a message to. The record tells what was submitted and is never rewritten.
ALTER TABLE deliveries ADD COLUMN rescheduled_at INTEGER;
