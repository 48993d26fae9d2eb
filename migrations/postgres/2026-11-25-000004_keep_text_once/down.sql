-- Rows from after the step show neither text nor HTML then; they are sent as before.
ALTER TABLE emails DROP COLUMN line_ends;
