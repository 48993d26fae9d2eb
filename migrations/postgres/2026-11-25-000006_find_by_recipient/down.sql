DROP TRIGGER deliveries_added ON deliveries;
DROP TRIGGER deliveries_removed ON deliveries;
DROP FUNCTION add_addressees();
DROP FUNCTION remove_addressees();
DROP FUNCTION addressees_of(jsonb);
DROP TABLE addressees;
