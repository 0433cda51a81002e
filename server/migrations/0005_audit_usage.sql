-- How much audit a host has written today, by the endpoint's clock in UTC.
CREATE TABLE audit_usage (
    host TEXT NOT NULL PRIMARY KEY REFERENCES hosts (id),
    -- Days since 1970.
    day BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    -- 1: the log has that the limit is near. 2: that it is reached.
    told BIGINT NOT NULL
);
