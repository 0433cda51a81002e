-- The same text runs on SQLite and PostgreSQL. Times are microseconds since 1970, in UTC.

CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
-- Rises when the endpoint may have lost count of its versions, as after a restore.
INSERT INTO counters (name, value) VALUES ('epoch', 1);
-- Rises with each change of the signing keys.
INSERT INTO counters (name, value) VALUES ('keys', 0);

CREATE TABLE hosts (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    -- All of them as JSON; host_labels has them for searching.
    labels TEXT NOT NULL,
    -- The host's public key; none for one that is served from static files, or removed.
    key_x TEXT,
    -- The key of a removed host: good for being told so by a last, empty set, and for nothing else.
    removed_key_x TEXT,
    -- Rises with each change of what the host's set says.
    ver BIGINT NOT NULL DEFAULT 1,
    -- The version that told the host of the newest signing key.
    keys_ver BIGINT NOT NULL DEFAULT 0,
    -- The newest version that the host said it applied.
    applied_epoch BIGINT NOT NULL DEFAULT 0,
    applied_ver BIGINT NOT NULL DEFAULT 0,
    seen_at BIGINT,
    created_at BIGINT NOT NULL,
    removed_at BIGINT
);
CREATE UNIQUE INDEX hosts_by_name ON hosts (name) WHERE removed_at IS NULL;
CREATE UNIQUE INDEX hosts_by_key ON hosts (key_x);

CREATE TABLE host_labels (
    host TEXT NOT NULL REFERENCES hosts (id),
    label TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (host, label)
);
CREATE INDEX host_labels_by_label ON host_labels (label, value);

CREATE TABLE enrolment_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    -- The name that the host will have; none: the host says.
    host_name TEXT,
    labels TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    used_key TEXT,
    host TEXT REFERENCES hosts (id),
    revoked_at BIGINT
);

CREATE TABLE grants (
    id TEXT NOT NULL PRIMARY KEY,
    -- The one host, or none where grant_terms says which.
    host TEXT REFERENCES hosts (id),
    -- What grant_terms says, as JSON.
    selector TEXT,
    user_name TEXT NOT NULL,
    not_before BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    document TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    revoked_at BIGINT,
    revoked_by TEXT,
    revoke_reason TEXT
);
CREATE INDEX grants_by_host ON grants (host, not_after);
CREATE INDEX grants_by_user ON grants (user_name, created_at);
CREATE INDEX grants_by_time ON grants (created_at, id);

-- The labels that a host must all have for the grant to hold there.
CREATE TABLE grant_terms (
    grant_id TEXT NOT NULL REFERENCES grants (id),
    label TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (grant_id, label)
);
CREATE INDEX grant_terms_by_label ON grant_terms (label, value);

CREATE TABLE requests (
    id TEXT NOT NULL PRIMARY KEY,
    host TEXT NOT NULL REFERENCES hosts (id),
    user_name TEXT NOT NULL,
    document TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- pending, approved or denied
    state TEXT NOT NULL,
    decided_at BIGINT,
    decided_by TEXT,
    decision_reason TEXT,
    grant_id TEXT
);
CREATE INDEX requests_by_state ON requests (state, created_at);
CREATE INDEX requests_by_host ON requests (host, state);

CREATE TABLE signing_keys (
    kid TEXT NOT NULL PRIMARY KEY,
    key_x TEXT NOT NULL,
    -- announced, active or retired
    state TEXT NOT NULL,
    announced_at BIGINT NOT NULL,
    used_at BIGINT,
    retired_at BIGINT
);

CREATE TABLE admin_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    hash TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

-- How far each host's audit is stored: each series, which is one spool of the host, counts from 1.
CREATE TABLE audit_state (
    host TEXT NOT NULL REFERENCES hosts (id),
    series TEXT NOT NULL,
    stored_to BIGINT NOT NULL,
    PRIMARY KEY (host, series)
);

CREATE TABLE audit (
    host TEXT NOT NULL,
    series TEXT NOT NULL,
    seq BIGINT NOT NULL,
    time BIGINT NOT NULL,
    event TEXT NOT NULL,
    user_name TEXT,
    grant_id TEXT,
    record TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    -- 1: the host later sent another record under this number. This one stays; the log has the other.
    differs BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (host, series, seq)
);
CREATE INDEX audit_by_time ON audit (time, host, series, seq);
CREATE INDEX audit_by_user ON audit (user_name, time);
CREATE INDEX audit_by_grant ON audit (grant_id, time);

-- What administrators did, and what this endpoint saw. Rows are added, and pruned when they are old; nothing changes them.
CREATE TABLE admin_log (
    seq BIGINT NOT NULL PRIMARY KEY,
    time BIGINT NOT NULL,
    event TEXT NOT NULL,
    admin TEXT NOT NULL,
    host TEXT,
    user_name TEXT,
    grant_id TEXT,
    record TEXT NOT NULL
);
CREATE INDEX admin_log_by_time ON admin_log (time, seq);
INSERT INTO counters (name, value) VALUES ('admin_log', 0);
