-- Which dead letters were replayed, by where the record stood that could not be used. The letter's own place says when the
-- row may go: when retention has removed the letter.

CREATE TABLE replayed_letters (
    topic            TEXT NOT NULL,
    epoch            BIGINT NOT NULL,
    partition_number INTEGER NOT NULL,
    record_offset    BIGINT NOT NULL,
    letter_epoch     BIGINT NOT NULL,
    letter_partition INTEGER NOT NULL,
    letter_offset    BIGINT NOT NULL,
    replayed_at      BIGINT NOT NULL,
    PRIMARY KEY (topic, epoch, partition_number, record_offset)
);

CREATE INDEX replayed_letters_by_letter ON replayed_letters (letter_partition, letter_epoch, letter_offset);
