DROP TRIGGER deliveries_added;
DROP TRIGGER deliveries_removed;
DROP TABLE addressees;
