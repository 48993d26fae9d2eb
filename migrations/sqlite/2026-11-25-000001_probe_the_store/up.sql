-- Whether the store takes writes is known by a write that succeeded. One process has the file: one row.
CREATE TABLE store_probes (
    prober     INTEGER NOT NULL CONSTRAINT store_probes_pk PRIMARY KEY,
    written_at INTEGER NOT NULL
) STRICT;
