-- The parts of the work that an operator has paused.
CREATE TABLE controls (
    scope     TEXT    NOT NULL
                      CONSTRAINT controls_scope_ck CHECK (scope IN ('everything', 'lane', 'relay')),
    name      TEXT    NOT NULL, -- of the lane or the relay; empty for everything
    until     INTEGER,          -- NULL: until somebody resumes
    reason    TEXT    NOT NULL,
    paused_by TEXT    NOT NULL,
    paused_at INTEGER NOT NULL,
    CONSTRAINT controls_pk PRIMARY KEY (scope, name)
) STRICT;

-- The workers, as they report themselves every few seconds.
CREATE TABLE workers (
    name        TEXT    NOT NULL CONSTRAINT workers_pk PRIMARY KEY,
    version     TEXT    NOT NULL,
    started_at  INTEGER NOT NULL,
    seen_at     INTEGER NOT NULL,
    concurrency INTEGER NOT NULL,
    in_flight   INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    relays      TEXT    NOT NULL -- JSON list
) STRICT;

-- Counts by the minute, later by the hour. Each process adds its own.
CREATE TABLE traffic (
    minute  INTEGER NOT NULL,
    lane    TEXT    NOT NULL,
    outcome TEXT    NOT NULL,
    reason  TEXT    NOT NULL, -- empty where nothing went wrong
    n       INTEGER NOT NULL,
    wait    TEXT    NOT NULL, -- JSON list, by the buckets of contracts/controls/traffic.rs
    took    TEXT    NOT NULL, -- likewise
    CONSTRAINT traffic_pk PRIMARY KEY (minute, lane, outcome, reason)
) STRICT, WITHOUT ROWID;
