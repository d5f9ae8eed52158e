-- Catalogue feeds of each site. settings is a JSON object that serving reads; version is by what the last reading that went through
-- knows the feed again. A run that was asked for stands in requested_at until it begins.

CREATE TABLE feeds (
    site         TEXT NOT NULL,
    name         TEXT NOT NULL,
    settings     TEXT NOT NULL,
    version      TEXT NOT NULL,
    job          TEXT NOT NULL,
    started_at   BIGINT NOT NULL,
    requested_at BIGINT NOT NULL,
    forced       INTEGER NOT NULL,
    updated_at   BIGINT NOT NULL,
    PRIMARY KEY (site, name)
);
