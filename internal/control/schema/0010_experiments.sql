-- Experiments on placements. experiment is the JSON of one; revision counts its changes. running is the placement that it runs on,
-- empty while it does not: only one runs on a placement at a time.
CREATE TABLE experiments (
    site       TEXT NOT NULL,
    id         TEXT NOT NULL,
    experiment TEXT NOT NULL,
    revision   BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    running    TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (site, id)
);

CREATE UNIQUE INDEX experiments_running ON experiments (site, running) WHERE running <> '';
