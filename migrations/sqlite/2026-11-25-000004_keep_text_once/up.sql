-- The text and the HTML are read from `raw`, which has all of them but the kind of their line ends. Written for bodies
-- with a CR; NULL: every line ends in LF. `body_text` and `body_html` are not written any more. They stay for the rows
-- that have them, and for processes of the version before that still run.
ALTER TABLE emails ADD COLUMN line_ends TEXT;
