CREATE INDEX emails_by_recipient ON emails USING gin (
    array_remove(string_to_array(translate(
        (people ->> 'to') || COALESCE(people ->> 'cc', '') || COALESCE(people ->> 'bcc', ''),
        '[]<>",', '      '), ' ', ''), NULL)
) WITH (fastupdate = off);

DROP TRIGGER deliveries_added ON deliveries;
DROP TRIGGER deliveries_removed ON deliveries;
DROP FUNCTION add_addressees();
DROP FUNCTION remove_addressees();
DROP FUNCTION addressees_of(jsonb);
DROP TABLE addressees;
