-- How much is taken of what the members of a campaign share: budgets, places among the first. A cache of the claims in the journal's
-- records, written by nothing else. `name` is a number of `name`; `number` tells one of these from another (a day, a keyed hash).
CREATE TABLE shared (
    campaign INTEGER NOT NULL,
    name     INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    taken    INTEGER NOT NULL CHECK (taken > 0),
    PRIMARY KEY (campaign, name, number)
) STRICT, WITHOUT ROWID;
