-- Rises with each change of what hosts' sets say: a server reads what changed since it last looked, and nothing else.
INSERT INTO counters (name, value) VALUES ('sets', 0);
-- The count of sets when this host, or this grant for one host, last changed.
ALTER TABLE hosts ADD COLUMN changed BIGINT NOT NULL DEFAULT 0;
CREATE INDEX hosts_by_change ON hosts (changed);
CREATE INDEX own_grants_by_change ON grants (changed) WHERE host IS NOT NULL;

-- Each series of a host's audit by a number: the audit's indexes have that, and not two texts.
ALTER TABLE audit_state ADD COLUMN spool BIGINT;
UPDATE audit_state SET spool =
    (SELECT COUNT(*) FROM audit_state AS other WHERE (other.host, other.series) <= (audit_state.host, audit_state.series));
CREATE UNIQUE INDEX audit_state_by_spool ON audit_state (spool);
INSERT INTO counters (name, value) SELECT 'spools', COUNT(*) FROM audit_state;

DROP INDEX audit_by_time;
DROP INDEX audit_by_user;
DROP INDEX audit_by_grant;
ALTER TABLE audit RENAME TO audit_before;
CREATE TABLE audit (
    -- audit_state has its host and series.
    spool BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    time BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    -- 1: the host later sent another record under this number. This one stays; the log has the other.
    differs BIGINT NOT NULL DEFAULT 0,
    host TEXT NOT NULL,
    event TEXT NOT NULL,
    user_name TEXT,
    grant_id TEXT,
    record TEXT NOT NULL,
    CONSTRAINT audit_by_spool PRIMARY KEY (spool, seq)
);
INSERT INTO audit (spool, seq, time, received_at, differs, host, event, user_name, grant_id, record)
    SELECT s.spool, a.seq, a.time, a.received_at, a.differs, a.host, a.event, a.user_name, a.grant_id, a.record
    FROM audit_before AS a JOIN audit_state AS s ON s.host = a.host AND s.series = a.series;
DROP TABLE audit_before;
-- Every question has an index in the order of its pages.
CREATE INDEX audit_by_time ON audit (time, spool, seq);
CREATE INDEX audit_by_host ON audit (host, time, spool, seq);
CREATE INDEX audit_by_user ON audit (user_name, time, spool, seq) WHERE user_name IS NOT NULL;
CREATE INDEX audit_by_grant ON audit (grant_id, time, spool, seq) WHERE grant_id IS NOT NULL;
CREATE INDEX audit_by_arrival ON audit (received_at, spool, seq);
CREATE INDEX admin_log_by_host ON admin_log (host, time, seq) WHERE host IS NOT NULL;
CREATE INDEX admin_log_by_user ON admin_log (user_name, time, seq) WHERE user_name IS NOT NULL;
CREATE INDEX admin_log_by_grant ON admin_log (grant_id, time, seq) WHERE grant_id IS NOT NULL;
