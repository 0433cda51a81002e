-- The count of label_grants when this grant by labels last changed: what a server knows of them already, it does not read again.
ALTER TABLE grants ADD COLUMN changed BIGINT NOT NULL DEFAULT 0;
CREATE INDEX label_grants_by_change ON grants (changed) WHERE host IS NULL;
-- Rises with each change of a grant by labels.
INSERT INTO counters (name, value) VALUES ('label_grants', 0);

-- At least as many as the open grants for this host alone, and their bytes: ended ones count until somebody counts anew.
ALTER TABLE hosts ADD COLUMN open_grants BIGINT NOT NULL DEFAULT 0;
ALTER TABLE hosts ADD COLUMN open_bytes BIGINT NOT NULL DEFAULT 0;
UPDATE hosts SET
    open_grants = (SELECT COUNT(*) FROM grants WHERE grants.host = hosts.id AND revoked_at IS NULL),
    open_bytes = (SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM grants WHERE grants.host = hosts.id AND revoked_at IS NULL);

-- The hosts that had a grant when it was revoked, and the version of their sets from which on it is gone.
CREATE TABLE revocations (
    grant_id TEXT NOT NULL REFERENCES grants (id),
    host TEXT NOT NULL REFERENCES hosts (id),
    epoch BIGINT NOT NULL,
    ver BIGINT NOT NULL,
    PRIMARY KEY (grant_id, host)
);
