-- Space that is given up when the disk is full, so that what became of messages can still be written down. Rows are too
-- short for a TOAST table and there is no index: emptying it needs no page.
CREATE TABLE space_reserve (
    filler char(480) NOT NULL
);
