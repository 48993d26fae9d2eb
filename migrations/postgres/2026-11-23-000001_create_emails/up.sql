-- The record: what was asked for and the message as it is sent. Written once; only retention takes the content away.
CREATE TABLE emails (
    id           uuid        CONSTRAINT emails_pk PRIMARY KEY,
    tenant       text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    scheduled_at timestamptz,
    subject      text        NOT NULL,
    sender       text        NOT NULL, -- of the envelope
    people       jsonb       NOT NULL, -- from, to, cc, bcc, reply_to
    headers      jsonb       NOT NULL,
    tags         jsonb       NOT NULL,
    attachments  jsonb       NOT NULL, -- name, type and size; the content is in raw
    smtputf8     boolean     NOT NULL,
    body_text    text,
    body_html    text,
    raw          bytea                 -- as it is sent; NULL once retention has taken it
);

CREATE INDEX emails_by_tenant ON emails (tenant, id);

-- One narrow row a message. All that changes, changes here.
CREATE TABLE deliveries (
    email_id     uuid        CONSTRAINT deliveries_pk PRIMARY KEY
                             CONSTRAINT deliveries_email_fk REFERENCES emails (id) ON DELETE CASCADE,
    status       text        NOT NULL
                             CONSTRAINT deliveries_status_ck
                             CHECK (status IN ('queued', 'sending', 'sent', 'failed', 'cancelled', 'unknown')),
    lane         text        NOT NULL
                             CONSTRAINT deliveries_lane_ck CHECK (lane IN ('urgent', 'normal', 'bulk')),
    due_at       timestamptz NOT NULL,
    due_since    timestamptz NOT NULL, -- the time until giving up is counted from here
    attempt      integer     NOT NULL DEFAULT 0,
    lost_leases  integer     NOT NULL DEFAULT 0,
    lease_owner  text,
    lease_token  uuid,
    lease_until  timestamptz,
    claimed_at   timestamptz,
    dot_allowed  boolean     NOT NULL DEFAULT false,
    maybe_sent   boolean     NOT NULL DEFAULT false,
    recipients   jsonb       NOT NULL,
    attempts     jsonb       NOT NULL DEFAULT '[]',
    finished_at  timestamptz,
    has_content  boolean     NOT NULL DEFAULT true,
    CONSTRAINT deliveries_lease_ck CHECK (
        (status = 'sending') = (lease_token IS NOT NULL) AND (lease_token IS NULL) = (lease_until IS NULL)
    ),
    CONSTRAINT deliveries_finished_ck CHECK (
        (status IN ('sent', 'failed', 'cancelled', 'unknown')) = (finished_at IS NOT NULL)
    )
) WITH (fillfactor = 70); -- room for the updates a message sees on its way, on the same page

CREATE INDEX deliveries_due ON deliveries (lane, due_at, email_id) WHERE status = 'queued';

-- Not on lease_until: a renewal shall not touch any index.
CREATE INDEX deliveries_leased ON deliveries (email_id) WHERE status = 'sending';

CREATE INDEX deliveries_finished ON deliveries (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX deliveries_content ON deliveries (finished_at) WHERE finished_at IS NOT NULL AND has_content;

CREATE TABLE idempotency_keys (
    tenant      text        NOT NULL,
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL, -- SHA-256 of what was submitted
    email_ids   uuid[]      NOT NULL,
    expires_at  timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pk PRIMARY KEY (tenant, key)
);

CREATE INDEX idempotency_keys_expired ON idempotency_keys (expires_at);
