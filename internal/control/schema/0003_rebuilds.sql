-- How often the states of a topic were asked to be made again, and what each partition's state was made for last.

CREATE TABLE feature_rebuilds (
    topic        TEXT PRIMARY KEY,
    generation   BIGINT NOT NULL,
    requested_at BIGINT NOT NULL
);

CREATE TABLE state_reports (
    topic            TEXT NOT NULL,
    partition_number INTEGER NOT NULL,
    version          INTEGER NOT NULL,
    epoch            BIGINT NOT NULL,
    generation       BIGINT NOT NULL,
    reported_at      BIGINT NOT NULL,
    PRIMARY KEY (topic, partition_number)
);
