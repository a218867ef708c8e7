-- Which channel brought an event: one message heard through two channels pays once. NULL in rows from before this step: never a twin.

CREATE TABLE source (
    id   INTEGER PRIMARY KEY,
    corp INTEGER NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (corp, name)
) STRICT;

ALTER TABLE event ADD COLUMN source INTEGER;
