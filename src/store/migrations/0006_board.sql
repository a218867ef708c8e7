-- Accounts that stand on no board: a cache of what their states say, so that a board of a million need not read them all. Written only
-- when that changes. The boards themselves are computed from the postings.
CREATE TABLE board_hidden (
    account INTEGER PRIMARY KEY
) STRICT;
