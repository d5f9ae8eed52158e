-- People who asked to be erased. No row holds an id: identities are keyed hashes, and a row of erasures says how far the work
-- for one request has come. Both stay for ever, because they filter what comes back later: a late event, an import, a copy.

CREATE TABLE erasures (
    id           TEXT PRIMARY KEY,
    site         TEXT NOT NULL,
    step         TEXT NOT NULL,
    until        BIGINT NOT NULL,
    generation   BIGINT NOT NULL,
    certificate  TEXT NOT NULL,
    trouble      TEXT NOT NULL,
    requested_at BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    finished_at  BIGINT NOT NULL
);

CREATE INDEX erasures_by_step ON erasures (step);

CREATE TABLE erased_identities (
    site    TEXT NOT NULL,
    kind    TEXT NOT NULL,
    hash    TEXT NOT NULL,
    erasure TEXT NOT NULL,
    until   BIGINT NOT NULL,
    PRIMARY KEY (site, kind, hash, erasure)
);

-- One row: how often the ledger has changed, and by which text the key is recognised that its hashes were made with.
CREATE TABLE erasure_ledger (
    one       INTEGER PRIMARY KEY,
    sequence  BIGINT NOT NULL,
    key_check TEXT NOT NULL
);
