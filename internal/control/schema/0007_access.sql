-- Keys that say what they may do, that are replaced while the former one still works, and that end by themselves. scopes are
-- names with commas; an empty text stands for everything, which is what keys of before were.

ALTER TABLE keys ADD COLUMN scopes         TEXT NOT NULL DEFAULT '';
ALTER TABLE keys ADD COLUMN rate           DOUBLE PRECISION NOT NULL DEFAULT 0;
ALTER TABLE keys ADD COLUMN expires_at     BIGINT NOT NULL DEFAULT 0;
ALTER TABLE keys ADD COLUMN rotated_at     BIGINT NOT NULL DEFAULT 0;
ALTER TABLE keys ADD COLUMN previous_hint  TEXT NOT NULL DEFAULT '';
ALTER TABLE keys ADD COLUMN previous_hash  TEXT NOT NULL DEFAULT '';
ALTER TABLE keys ADD COLUMN previous_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE keys ADD COLUMN last_used_at   BIGINT NOT NULL DEFAULT 0;

-- What a shop's server signs user tokens with. The secret itself is needed to check them, so it is here, sealed.
CREATE TABLE signing_secrets (
    id          TEXT PRIMARY KEY,
    site        TEXT NOT NULL,
    hint        TEXT NOT NULL,
    sealed      TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);

-- Who changed what, and how. id is a UUID of version 7, so that its order is that of time.
CREATE TABLE audit (
    id         TEXT PRIMARY KEY,
    site       TEXT NOT NULL,
    at         BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor      TEXT NOT NULL,
    action     TEXT NOT NULL,
    target     TEXT NOT NULL,
    was        TEXT NOT NULL,
    became     TEXT NOT NULL
);

CREATE INDEX audit_by_site ON audit (site, id);

-- What a shop says of its users.
CREATE TABLE user_attributes (
    site       TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    attributes TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (site, user_id)
);
