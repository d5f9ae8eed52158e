-- Whoever opens the state of a partition claims it, and only the last claim may tell of it. shown says that the online
-- store has the rows of exactly the state that the row is about.

ALTER TABLE state_reports ADD COLUMN claim BIGINT NOT NULL DEFAULT 0;
ALTER TABLE state_reports ADD COLUMN shown INTEGER NOT NULL DEFAULT 1;
