DROP TABLE space_reserve;
