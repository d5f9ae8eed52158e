-- Topics that are being grown, and how far that has come. A row goes when all is done.

CREATE TABLE topic_grows (
    topic      TEXT PRIMARY KEY,
    partitions INTEGER NOT NULL,
    step       TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
