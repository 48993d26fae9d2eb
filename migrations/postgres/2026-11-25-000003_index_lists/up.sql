-- Lists by a status that few messages have, and by a recipient. On a large table these take minutes, in which nothing can
-- be written: build them by hand before the upgrade, with CREATE INDEX CONCURRENTLY, and the step finds them there.

-- What such a command leaves behind that did not come to its end would never be used.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('deliveries_ended') AND NOT indisvalid) THEN
        DROP INDEX deliveries_ended;
    END IF;
    IF EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('emails_by_recipient') AND NOT indisvalid) THEN
        DROP INDEX emails_by_recipient;
    END IF;
END
$$;

CREATE INDEX IF NOT EXISTS deliveries_ended ON deliveries (status, email_id)
    WHERE status IN ('failed', 'cancelled', 'unknown');

-- The words of the mailboxes, addresses among them. Without fastupdate: it gathers entries, and has one insert of many
-- wait until they are put in order.
CREATE INDEX IF NOT EXISTS emails_by_recipient ON emails USING gin (
    array_remove(string_to_array(translate(
        (people ->> 'to') || COALESCE(people ->> 'cc', '') || COALESCE(people ->> 'bcc', ''),
        '[]<>",', '      '), ' ', ''), NULL)
) WITH (fastupdate = off);
