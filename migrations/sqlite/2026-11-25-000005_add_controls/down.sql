DROP TABLE controls;
DROP TABLE workers;
DROP TABLE traffic;
