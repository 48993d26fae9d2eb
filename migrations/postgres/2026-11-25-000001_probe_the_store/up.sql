-- Whether the store takes writes is known by a write that succeeded. Each process writes a row of its own.
CREATE TABLE store_probes (
    prober     uuid        CONSTRAINT store_probes_pk PRIMARY KEY,
    written_at timestamptz NOT NULL,
    refused_at timestamptz           -- when there was no space for a message of this process; NULL: there is again
) WITH (fillfactor = 20); -- updated every second: room on the page, so that no index changes
