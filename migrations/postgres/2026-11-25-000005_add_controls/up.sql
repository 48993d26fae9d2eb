-- The parts of the work that an operator has paused.
CREATE TABLE controls (
    scope     text        NOT NULL
                          CONSTRAINT controls_scope_ck CHECK (scope IN ('everything', 'lane', 'relay')),
    name      text        NOT NULL, -- of the lane or the relay; empty for everything
    until     timestamptz,          -- NULL: until somebody resumes
    reason    text        NOT NULL,
    paused_by text        NOT NULL,
    paused_at timestamptz NOT NULL,
    CONSTRAINT controls_pk PRIMARY KEY (scope, name)
);

-- The workers, as they report themselves every few seconds.
CREATE TABLE workers (
    name        text        CONSTRAINT workers_pk PRIMARY KEY,
    version     text        NOT NULL,
    started_at  timestamptz NOT NULL,
    seen_at     timestamptz NOT NULL,
    concurrency integer     NOT NULL,
    in_flight   integer     NOT NULL,
    state       text        NOT NULL,
    relays      jsonb       NOT NULL
) WITH (fillfactor = 50); -- updated every few seconds: room on the page, so that no index changes

-- Counts by the minute, later by the hour. Each process adds its own.
CREATE TABLE traffic (
    minute  timestamptz NOT NULL,
    lane    text        NOT NULL,
    outcome text        NOT NULL,
    reason  text        NOT NULL, -- empty where nothing went wrong
    n       bigint      NOT NULL,
    wait    bigint[]    NOT NULL, -- by the buckets of contracts/controls/traffic.rs
    took    bigint[]    NOT NULL,
    CONSTRAINT traffic_pk PRIMARY KEY (minute, lane, outcome, reason)
) WITH (fillfactor = 70); -- updated every few seconds for a minute
