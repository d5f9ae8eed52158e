-- Times are Unix milliseconds; 0 stands for "never". Only SQL that SQLite and PostgreSQL read alike.

CREATE TABLE keys (
    id          TEXT PRIMARY KEY,
    site        TEXT NOT NULL,
    kind        TEXT NOT NULL,
    label       TEXT NOT NULL,
    hint        TEXT NOT NULL,
    hash        TEXT NOT NULL UNIQUE,
    origins     TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    revoked_at  BIGINT NOT NULL
);

CREATE TABLE placements (
    site             TEXT NOT NULL,
    name             TEXT NOT NULL,
    kind             TEXT NOT NULL,
    list_limit       INTEGER NOT NULL,
    browser_readable INTEGER NOT NULL,
    settings         TEXT NOT NULL,
    updated_at       BIGINT NOT NULL,
    PRIMARY KEY (site, name)
);

CREATE TABLE jobs (
    id          TEXT PRIMARY KEY,
    kind        TEXT NOT NULL,
    site        TEXT NOT NULL,
    state       TEXT NOT NULL,
    progress    DOUBLE PRECISION NOT NULL,
    stage       TEXT NOT NULL,
    detail      TEXT NOT NULL,
    result      TEXT NOT NULL,
    started_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    ended_at    BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);

CREATE INDEX jobs_by_start ON jobs (started_at);

CREATE TABLE leases (
    name        TEXT PRIMARY KEY,
    holder      TEXT NOT NULL,
    token       BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);

CREATE TABLE topic_epochs (
    topic        TEXT PRIMARY KEY,
    epoch        BIGINT NOT NULL,
    partitions   INTEGER NOT NULL,
    updated_at   BIGINT NOT NULL,
    recreated_at BIGINT NOT NULL
);

CREATE TABLE imports (
    site        TEXT NOT NULL,
    digest      TEXT NOT NULL,
    file        TEXT NOT NULL,
    mapping     TEXT NOT NULL,
    next_row    BIGINT NOT NULL,
    accepted    BIGINT NOT NULL,
    rejected    BIGINT NOT NULL,
    done        INTEGER NOT NULL,
    started_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (site, digest)
);
