-- Versions of rules.toml that went live or were refused, for people who ask what held since when. Written with the event that tells of it.
CREATE TABLE rules_change (
    event INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    rules BLOB NOT NULL,
    author TEXT NOT NULL,
    accepted INTEGER NOT NULL CHECK (accepted IN (0, 1)),
    told TEXT NOT NULL
) STRICT;
