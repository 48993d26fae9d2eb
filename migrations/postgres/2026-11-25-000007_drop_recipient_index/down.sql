CREATE INDEX IF NOT EXISTS emails_by_recipient ON emails USING gin (
    array_remove(string_to_array(translate(
        (people ->> 'to') || COALESCE(people ->> 'cc', '') || COALESCE(people ->> 'bcc', ''),
        '[]<>",', '      '), ' ', ''), NULL)
) WITH (fastupdate = off);
