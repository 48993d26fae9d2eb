-- The index whose place `addressees` has taken. To drop it, nobody may be reading `emails` for a moment, and everybody who comes
-- later waits as long: so it is tried for a second at a time, and after 30 times the index stays, which costs time at every
-- insert and nothing else. README.md says how to drop it by hand.
--
-- The steps before end here, as their locks would keep those waiting who have the lock that this one needs. The lock of those
-- who migrate is taken anew, and another process may have got it in between.
COMMIT;
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL statement_timeout = '10min';
SET LOCAL idle_in_transaction_session_timeout = '10min';
SELECT pg_advisory_xact_lock(469785734257);

DO $step$
DECLARE
    here text := current_schema();
BEGIN
    PERFORM set_config('lock_timeout', '1s', true);
    FOR attempt IN 1..30 LOOP
        BEGIN
            EXECUTE format('DROP INDEX IF EXISTS %I.emails_by_recipient', here);
            PERFORM set_config('lock_timeout', '0', true);
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.5);
        END;
    END LOOP;
    PERFORM set_config('lock_timeout', '0', true);
    RAISE WARNING 'the index emails_by_recipient stays, as emails is read without a pause'
        USING HINT = 'Drop it by hand: DROP INDEX CONCURRENTLY emails_by_recipient';
END
$step$;

-- The line of the process that was faster; ours follows.
DELETE FROM mailqueue_migrations WHERE version = '20261125000007';
