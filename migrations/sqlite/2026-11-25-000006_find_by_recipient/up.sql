-- The messages of each recipient, in the order of their ids. The database keeps it, so it is right whoever writes.
CREATE TABLE addressees (
    address  TEXT NOT NULL,
    email_id BLOB NOT NULL, -- no foreign key: the triggers do what it would
    CONSTRAINT addressees_pk PRIMARY KEY (address, email_id)
) WITHOUT ROWID;

CREATE TRIGGER deliveries_added AFTER INSERT ON deliveries
BEGIN
    INSERT OR IGNORE INTO addressees
    SELECT r.value ->> '$.address', NEW.email_id FROM json_each(NEW.recipients) r;
END;

CREATE TRIGGER deliveries_removed AFTER DELETE ON deliveries
BEGIN
    DELETE FROM addressees WHERE email_id = OLD.email_id AND address IN (
        SELECT CASE r.type WHEN 'object' THEN r.value ->> '$.address' END
        FROM json_each(CASE WHEN json_valid(OLD.recipients) THEN OLD.recipients ELSE '[]' END) r
    );
END;

-- Those that are there already, but for rows that somebody has edited so that they cannot be read.
INSERT INTO addressees
SELECT DISTINCT CASE r.type WHEN 'object' THEN r.value ->> '$.address' END AS address, d.email_id
FROM deliveries d, json_each(CASE WHEN json_valid(d.recipients) THEN d.recipients ELSE '[]' END) r
WHERE address IS NOT NULL
ORDER BY 1, 2;
