-- What merchandisers decide: which items may be shown, and which count more. rule is the JSON of what they wrote; revision counts
-- its changes.
CREATE TABLE rules (
    site       TEXT NOT NULL,
    id         TEXT NOT NULL,
    rule       TEXT NOT NULL,
    revision   BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (site, id)
);
