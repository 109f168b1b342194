-- The journal. Facts and authorities are written once and never changed, but for what is private in them, which can be
-- erased: the triggers below refuse all else.

CREATE TABLE authorities (
    digest BLOB PRIMARY KEY NOT NULL CHECK (length(digest) = 32),
    bytes  BLOB -- NULL once it was erased
) STRICT;

CREATE TABLE facts (
    seq         INTEGER PRIMARY KEY CHECK (seq > 0),
    stream      TEXT NOT NULL,
    version     INTEGER NOT NULL CHECK (version > 0),
    kind        TEXT NOT NULL,
    body        BLOB,                                -- of a private fact: NULL once it was erased, and so the salt
    commitment  BLOB CHECK (length(commitment) = 32), -- NULL if the fact is public
    salt        BLOB CHECK (length(salt) = 32),
    authority   BLOB NOT NULL REFERENCES authorities (digest),
    recorded_at INTEGER NOT NULL CHECK (recorded_at >= 0),
    height      INTEGER NOT NULL CHECK (height >= 0),
    prev        BLOB NOT NULL CHECK (length(prev) = 32),
    hash        BLOB NOT NULL CHECK (length(hash) = 32),
    UNIQUE (stream, version),
    CHECK (CASE WHEN commitment IS NULL THEN body IS NOT NULL AND salt IS NULL
        ELSE (body IS NULL) = (salt IS NULL) END)
) STRICT;

CREATE TRIGGER facts_stay_as_they_are BEFORE UPDATE OF seq, stream, version, kind, commitment, authority, recorded_at,
    height, prev, hash ON facts
BEGIN SELECT RAISE(ABORT, 'a fact is never changed'); END;
CREATE TRIGGER facts_are_only_erased BEFORE UPDATE OF body, salt ON facts
WHEN OLD.commitment IS NULL OR NEW.body IS NOT NULL OR NEW.salt IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a fact is never changed'); END;
CREATE TRIGGER facts_stay BEFORE DELETE ON facts
BEGIN SELECT RAISE(ABORT, 'a fact is never deleted'); END;
CREATE TRIGGER authorities_stay_as_they_are BEFORE UPDATE ON authorities
WHEN NEW.digest IS NOT OLD.digest OR NEW.bytes IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'an authority is never changed'); END;
CREATE TRIGGER authorities_stay BEFORE DELETE ON authorities
BEGIN SELECT RAISE(ABORT, 'an authority is never deleted'); END;

-- The end of the chain once more, written with every append: facts that got lost at the end are missed.
CREATE TABLE head (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    seq  INTEGER NOT NULL CHECK (seq >= 0),
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
INSERT INTO head (one, seq, hash) VALUES (1, 0, zeroblob(32));

-- The tree over the entries of all facts, as tiles (C2SP tlog-tiles): 1 to 256 hashes of 32 bytes. A tile only grows.
CREATE TABLE log_tiles (
    level  INTEGER NOT NULL CHECK (level >= 0),
    idx    INTEGER NOT NULL CHECK (idx >= 0),
    hashes BLOB NOT NULL CHECK (length(hashes) BETWEEN 32 AND 8192 AND length(hashes) % 32 = 0),
    PRIMARY KEY (level, idx)
) STRICT;

-- How far the tree has come, and the checkpoint that is published, a signed note.
CREATE TABLE log_state (
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    size           INTEGER NOT NULL CHECK (size >= 0),
    published_size INTEGER CHECK (published_size BETWEEN 0 AND size),
    published      BLOB CHECK ((published IS NULL) = (published_size IS NULL))
) STRICT;
INSERT INTO log_state (one, size) VALUES (1, 0);

-- Finished effects stay, so that a key is unique for ever.
CREATE TABLE outbox (
    id       INTEGER PRIMARY KEY,
    key      TEXT NOT NULL UNIQUE,
    stream   TEXT NOT NULL,
    body     BLOB NOT NULL,
    due      INTEGER NOT NULL CHECK (due >= 0),
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    finished INTEGER NOT NULL DEFAULT 0 CHECK (finished IN (0, 1))
) STRICT;

CREATE INDEX outbox_pending ON outbox (due) WHERE finished = 0;

CREATE TABLE reservations (
    space  TEXT NOT NULL,
    name   BLOB NOT NULL,
    stream TEXT NOT NULL,
    PRIMARY KEY (space, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE seen_requests (
    id           BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 32),
    forget_after INTEGER NOT NULL CHECK (forget_after >= 0)
) STRICT, WITHOUT ROWID;

CREATE INDEX seen_requests_oldest ON seen_requests (forget_after);

-- The format of each read model's rows; 0 while they are not complete.
CREATE TABLE read_models (
    name   TEXT PRIMARY KEY NOT NULL,
    format INTEGER NOT NULL CHECK (format >= 0)
) STRICT;
INSERT INTO read_models (name, format) VALUES ('tasks', 0);

-- The read model of tasks. An id is a UUIDv7, big-endian: it sorts by age.
CREATE TABLE tasks (
    id          BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    version     INTEGER NOT NULL CHECK (version > 0),
    state       TEXT NOT NULL,
    requester   BLOB NOT NULL CHECK (length(requester) = 32),
    worker      BLOB CHECK (length(worker) = 32),
    wake_at     INTEGER CHECK (wake_at >= 0),
    wake_height INTEGER CHECK (wake_height >= 0),
    view        TEXT NOT NULL
) STRICT;

CREATE INDEX tasks_by_state ON tasks (state, id);
CREATE INDEX tasks_by_requester ON tasks (requester, id);
CREATE INDEX tasks_by_worker ON tasks (worker, id) WHERE worker IS NOT NULL;
CREATE INDEX tasks_by_wake_at ON tasks (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX tasks_by_wake_height ON tasks (wake_height) WHERE wake_height IS NOT NULL;
