-- The first schema. Interned texts are numbers of `name`; days are days since 1970; instants are milliseconds since 1970 UTC.
--
-- There is deliberately no index on event(account), event(at), posting(account), account(balance) or on when a reply is due:
-- each would dirty one more random page a message. An account's history is its chain of event.prev.

CREATE TABLE name (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
) STRICT;

-- One row: the last number given out of each kind, and the head of the hash chain.
CREATE TABLE shard (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    event    INTEGER NOT NULL,
    posting  INTEGER NOT NULL,
    account  INTEGER NOT NULL,
    member   INTEGER NOT NULL,
    identity INTEGER NOT NULL,
    grp      INTEGER NOT NULL,
    campaign INTEGER NOT NULL,
    link     BLOB NOT NULL CHECK (length(link) = 32),
    pending  BLOB NOT NULL CHECK (length(pending) = 32)
) STRICT;
INSERT INTO shard VALUES (1, 0, 0, 0, 0, 0, 0, 0, zeroblob(32), zeroblob(32));

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE campaign (
    id   INTEGER PRIMARY KEY,
    corp INTEGER NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (corp, name)
) STRICT;

-- kind: 0 internal, 1 with customers.
CREATE TABLE grp (
    id    INTEGER PRIMARY KEY,
    corp  INTEGER NOT NULL,
    chat  TEXT NOT NULL,
    title TEXT,
    kind  INTEGER NOT NULL CHECK (kind IN (0, 1)),
    UNIQUE (corp, chat)
) STRICT;

-- name is sealed under the master key.
CREATE TABLE member (
    id   INTEGER PRIMARY KEY,
    corp INTEGER NOT NULL,
    name BLOB
) STRICT;

-- kind: 0 userid, 1 external; unique as `folded`, shown as `value`.
CREATE TABLE identity (
    id     INTEGER PRIMARY KEY,
    corp   INTEGER NOT NULL,
    kind   INTEGER NOT NULL CHECK (kind IN (0, 1)),
    folded TEXT NOT NULL,
    value  TEXT NOT NULL,
    member INTEGER,
    UNIQUE (corp, kind, folded)
) STRICT;
-- Written once in a person's life, when something is first earned.
CREATE INDEX identity_of_member ON identity (member) WHERE member IS NOT NULL;

CREATE TABLE rules_version (
    hash          BLOB PRIMARY KEY CHECK (length(hash) = 16),
    text          TEXT NOT NULL,
    first_used_at INTEGER NOT NULL
) STRICT;

-- A cache of the fold over the journal, written by nothing else.
CREATE TABLE account (
    id         INTEGER PRIMARY KEY,
    campaign   INTEGER NOT NULL,
    grp        INTEGER NOT NULL,
    member     INTEGER NOT NULL,
    available  INTEGER NOT NULL CHECK (available BETWEEN -9007199254740991 AND 9007199254740991),
    held       INTEGER NOT NULL CHECK (held BETWEEN 0 AND 9007199254740991),
    lifetime   INTEGER NOT NULL CHECK (lifetime BETWEEN -9007199254740991 AND 9007199254740991),
    frontier   INTEGER NOT NULL,
    last_event INTEGER NOT NULL,
    state      BLOB NOT NULL,
    UNIQUE (member, campaign, grp)
) STRICT;

CREATE TABLE event (
    seq           INTEGER PRIMARY KEY,
    received_at   INTEGER NOT NULL,
    at            INTEGER NOT NULL,
    day           INTEGER NOT NULL,
    identity      INTEGER,
    account       INTEGER,
    grp           INTEGER NOT NULL,
    campaign      INTEGER,
    kind          INTEGER NOT NULL,
    rules         INTEGER NOT NULL,
    prev          INTEGER CHECK (prev < seq),
    first_posting INTEGER,
    record        BLOB NOT NULL
) STRICT;

-- Every event is acted on once, for ever: the database refuses the second copy.
CREATE TABLE event_key (
    source INTEGER NOT NULL,
    key    BLOB NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (source, key)
) STRICT, WITHOUT ROWID;

-- Contents of events, sealed under a day key.
CREATE TABLE event_text (
    seq     INTEGER PRIMARY KEY,
    day_key INTEGER NOT NULL,
    sealed  BLOB NOT NULL
) STRICT;

-- One row carries both sides. An account's own number, or -(campaign × 100 + chart); parts: 0 available, 1 held.
CREATE TABLE posting (
    seq        INTEGER PRIMARY KEY,
    event      INTEGER NOT NULL,
    ord        INTEGER NOT NULL,
    code       INTEGER NOT NULL,
    src        INTEGER NOT NULL,
    src_part   INTEGER NOT NULL CHECK (src_part IN (0, 1)),
    dst        INTEGER NOT NULL,
    dst_part   INTEGER NOT NULL CHECK (dst_part IN (0, 1)),
    amount     INTEGER NOT NULL CHECK (amount BETWEEN 1 AND 9007199254740991),
    day        INTEGER NOT NULL,
    vests_on   INTEGER,
    expires_on INTEGER,
    reverses   INTEGER CHECK (reverses < seq),
    slot_event INTEGER,
    link       BLOB NOT NULL CHECK (length(link) = 16),
    digest     BLOB NOT NULL CHECK (length(digest) = 16),
    CHECK (src <> dst OR src_part <> dst_part)
) STRICT;

-- state: 0 waiting, 1 sending, 2 sent, 3 refused, 4 unknown, 5 expired, 6 suppressed. What is said and to whom is in `sealed`.
CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY,
    created_at INTEGER NOT NULL,
    state      INTEGER NOT NULL CHECK (state BETWEEN 0 AND 6),
    tries      INTEGER NOT NULL,
    reason     TEXT,
    corp       INTEGER NOT NULL,
    rules      INTEGER NOT NULL,
    day_key    INTEGER NOT NULL,
    sealed     BLOB NOT NULL
) STRICT;
-- Holds only what is still to be said, so it stays a few pages however long the table grows, and a start finds it at once.
CREATE INDEX outbox_open ON outbox (id) WHERE state < 2;

-- Keys of days, wrapped by the master key. A key that is gone takes its day's contents with it.
CREATE TABLE day_key (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    day     INTEGER NOT NULL UNIQUE,
    wrapped BLOB NOT NULL
) STRICT;

CREATE TRIGGER event_is_final BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER event_is_kept BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'events are never deleted'); END;
CREATE TRIGGER event_key_is_final BEFORE UPDATE ON event_key BEGIN SELECT RAISE(ABORT, 'event keys are never changed'); END;
CREATE TRIGGER event_key_is_kept BEFORE DELETE ON event_key BEGIN SELECT RAISE(ABORT, 'event keys are never deleted'); END;
CREATE TRIGGER posting_is_final BEFORE UPDATE ON posting BEGIN SELECT RAISE(ABORT, 'postings are never changed'); END;
CREATE TRIGGER posting_is_kept BEFORE DELETE ON posting BEGIN SELECT RAISE(ABORT, 'postings are never deleted'); END;
