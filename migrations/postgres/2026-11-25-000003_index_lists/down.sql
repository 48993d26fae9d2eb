DROP INDEX emails_by_recipient;
DROP INDEX deliveries_ended;
