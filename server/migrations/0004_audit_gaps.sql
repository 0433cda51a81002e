-- What is missing of a series below stored_to. It is stored if it comes after all.
CREATE TABLE audit_gaps (
    host TEXT NOT NULL REFERENCES hosts (id),
    series TEXT NOT NULL,
    from_seq BIGINT NOT NULL,
    to_seq BIGINT NOT NULL,
    PRIMARY KEY (host, series, from_seq)
);
