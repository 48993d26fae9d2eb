-- The messages of each recipient, in the order of their ids. The database keeps it, so it is right whoever writes: a host's own
-- transaction and a process of the version before as well. It takes the place of an index that cost as much to write, and
-- to read as much as the recipient has messages; the next step drops that one.
--
-- On a large table this takes minutes, in which nothing can be written: where our table and our triggers are there, somebody
-- has built them by hand before the upgrade, as README.md says, and they are left as they are. A table of this name in another
-- schema is somebody else's and does not count.
DO $step$
DECLARE
    here  text := current_schema();
    there oid  := to_regclass(format('%I.addressees', current_schema()));
BEGIN
    IF (SELECT count(*) FROM pg_attribute a
        WHERE a.attrelid = there AND (a.attname, a.atttypid) IN (('address', 'text'::regtype), ('email_id', 'uuid'::regtype))
    ) = 2 AND (SELECT count(*) FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid = to_regclass(format('%I.deliveries', here)) AND p.pronamespace = to_regnamespace(quote_ident(here))
            AND (t.tgname, p.proname) IN (('deliveries_added', 'add_addressees'), ('deliveries_removed', 'remove_addressees'))
    ) = 2 THEN
        RETURN;
    END IF;

    CREATE TABLE mailqueue_addressees (
        address  text COLLATE "C" NOT NULL,
        email_id uuid             NOT NULL, -- no foreign key: the triggers do what it would
        CONSTRAINT addressees_pk PRIMARY KEY (address, email_id)
    );
END
$step$;

-- Fails where another table of that name is in the way. Not in a block: what fails there is told in Postgres' own log alone.
ALTER TABLE IF EXISTS mailqueue_addressees RENAME TO addressees;

DO $step$
DECLARE
    here text := current_schema();
BEGIN
    IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass(format('%I.deliveries', here)) AND tgname = 'deliveries_added') THEN
        RETURN;
    END IF;

    CREATE FUNCTION addressees_of(recipients jsonb) RETURNS SETOF text LANGUAGE sql IMMUTABLE AS $$
        SELECT DISTINCT address #>> '{}'::text[]
        FROM jsonb_path_query(recipients, '$[*].address ? (@.type() == "string")'::jsonpath) AS address
    $$;

    -- A restored dump has the rows already.
    CREATE FUNCTION add_addressees() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO addressees SELECT a.address, d.email_id FROM added d CROSS JOIN addressees_of(d.recipients) AS a (address)
        ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $$;

    CREATE FUNCTION remove_addressees() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM addressees WHERE address = ANY (ARRAY(SELECT addressees_of(OLD.recipients))) AND email_id = OLD.email_id;
        RETURN NULL;
    END $$;

    -- Whoever may write deliveries need not have rights on this table, nor the path to it. Nothing that others create is found
    -- on the functions' own path before ours, and nobody else makes triggers of them.
    EXECUTE format('ALTER FUNCTION add_addressees() SECURITY DEFINER SET search_path = %I, pg_temp', here);
    EXECUTE format('ALTER FUNCTION remove_addressees() SECURITY DEFINER SET search_path = %I, pg_temp', here);
    REVOKE EXECUTE ON FUNCTION add_addressees(), remove_addressees() FROM PUBLIC;

    CREATE TRIGGER deliveries_added AFTER INSERT ON deliveries
        REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION add_addressees();
    CREATE TRIGGER deliveries_removed AFTER DELETE ON deliveries
        FOR EACH ROW EXECUTE FUNCTION remove_addressees();

    INSERT INTO addressees SELECT a.address, d.email_id
    FROM deliveries d CROSS JOIN addressees_of(d.recipients) AS a (address) ORDER BY 1, 2;
END
$step$;
