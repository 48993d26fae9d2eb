-- The tables of migrations/postgres. Times are microseconds since 1970 (UTC), uuids 16 octets, lists JSON text.

-- The record: what was asked for and the message as it is sent. Written once; only retention takes the content away.
CREATE TABLE emails (
    id           BLOB    NOT NULL CONSTRAINT emails_pk PRIMARY KEY,
    tenant       TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    scheduled_at INTEGER,
    subject      TEXT    NOT NULL,
    sender       TEXT    NOT NULL, -- of the envelope
    people       TEXT    NOT NULL, -- from, to, cc, bcc, reply_to
    headers      TEXT    NOT NULL,
    tags         TEXT    NOT NULL,
    attachments  TEXT    NOT NULL, -- name, type and size; the content is in raw
    smtputf8     INTEGER NOT NULL,
    body_text    TEXT,
    body_html    TEXT,
    raw          BLOB              -- as it is sent; NULL once retention has taken it
) STRICT;

CREATE INDEX emails_by_tenant ON emails (tenant, id);

-- One narrow row a message. All that changes, changes here.
CREATE TABLE deliveries (
    email_id     BLOB    NOT NULL CONSTRAINT deliveries_pk PRIMARY KEY
                         CONSTRAINT deliveries_email_fk REFERENCES emails (id) ON DELETE CASCADE,
    status       TEXT    NOT NULL
                         CONSTRAINT deliveries_status_ck
                         CHECK (status IN ('queued', 'sending', 'sent', 'failed', 'cancelled', 'unknown')),
    lane         TEXT    NOT NULL
                         CONSTRAINT deliveries_lane_ck CHECK (lane IN ('urgent', 'normal', 'bulk')),
    due_at       INTEGER NOT NULL,
    due_since    INTEGER NOT NULL, -- the time until giving up is counted from here
    attempt      INTEGER NOT NULL DEFAULT 0,
    lost_leases  INTEGER NOT NULL DEFAULT 0,
    lease_owner  TEXT,
    lease_token  BLOB,
    lease_until  INTEGER,
    claimed_at   INTEGER,
    dot_allowed  INTEGER NOT NULL DEFAULT 0,
    maybe_sent   INTEGER NOT NULL DEFAULT 0,
    recipients   TEXT    NOT NULL,
    attempts     TEXT    NOT NULL DEFAULT '[]',
    finished_at  INTEGER,
    has_content  INTEGER NOT NULL DEFAULT 1,
    CONSTRAINT deliveries_lease_ck CHECK (
        (status = 'sending') = (lease_token IS NOT NULL) AND (lease_token IS NULL) = (lease_until IS NULL)
    ),
    CONSTRAINT deliveries_finished_ck CHECK (
        (status IN ('sent', 'failed', 'cancelled', 'unknown')) = (finished_at IS NOT NULL)
    )
) STRICT;

CREATE INDEX deliveries_due ON deliveries (lane, due_at, email_id) WHERE status = 'queued';
CREATE INDEX deliveries_leased ON deliveries (email_id) WHERE status = 'sending';
CREATE INDEX deliveries_finished ON deliveries (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX deliveries_content ON deliveries (finished_at) WHERE finished_at IS NOT NULL AND has_content = 1;

CREATE TABLE idempotency_keys (
    tenant      TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL, -- SHA-256 of what was submitted
    email_ids   TEXT    NOT NULL, -- JSON list
    expires_at  INTEGER NOT NULL,
    CONSTRAINT idempotency_keys_pk PRIMARY KEY (tenant, key)
) STRICT;

CREATE INDEX idempotency_keys_expired ON idempotency_keys (expires_at);
