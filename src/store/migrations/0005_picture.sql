-- What members sent as proof: pictures seen where a rule needs one, and what was paid for. A cache of the journal's records (pictures a
-- message came with, marks of use), written by nothing else. `number` and `original` are what a picture or link is known by, as signed
-- 64-bit integers; a picture that shows an earlier one again has that one as its `original`. `look` is 16 bytes.
CREATE TABLE proof (
    campaign INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    original INTEGER NOT NULL,
    look     BLOB CHECK (length(look) = 16),
    used     INTEGER NOT NULL CHECK (used IN (0, 1)),
    seen     INTEGER NOT NULL,
    PRIMARY KEY (campaign, number)
) STRICT, WITHOUT ROWID;
