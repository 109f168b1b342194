-- The journal. Facts and authorities are written once and never changed, but for what is private in them, which can be
-- erased: the triggers below refuse all else.
-- Every transaction that writes takes the row of `head` first.

CREATE TABLE authorities (
    digest bytea PRIMARY KEY CHECK (length(digest) = 32),
    bytes  bytea -- NULL once it was erased
);

CREATE TABLE facts (
    seq         bigint PRIMARY KEY CHECK (seq > 0),
    stream      text COLLATE "C" NOT NULL,
    version     bigint NOT NULL CHECK (version > 0),
    kind        text COLLATE "C" NOT NULL,
    body        bytea,                                -- of a private fact: NULL once it was erased, and so the salt
    commitment  bytea CHECK (length(commitment) = 32), -- NULL if the fact is public
    salt        bytea CHECK (length(salt) = 32),
    authority   bytea NOT NULL REFERENCES authorities (digest),
    recorded_at bigint NOT NULL CHECK (recorded_at >= 0),
    height      bigint NOT NULL CHECK (height >= 0),
    prev        bytea NOT NULL CHECK (length(prev) = 32),
    hash        bytea NOT NULL CHECK (length(hash) = 32),
    UNIQUE (stream, version),
    CHECK (CASE WHEN commitment IS NULL THEN body IS NOT NULL AND salt IS NULL
        ELSE (body IS NULL) = (salt IS NULL) END)
);

CREATE FUNCTION tallystick_refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION '% is never changed and nothing is deleted from it', TG_TABLE_NAME; END $$;

CREATE TRIGGER facts_stay_as_they_are BEFORE UPDATE ON facts
    FOR EACH ROW WHEN (OLD.commitment IS NULL OR NEW.body IS NOT NULL OR NEW.salt IS NOT NULL
        OR (NEW.seq, NEW.stream, NEW.version, NEW.kind, NEW.commitment, NEW.authority, NEW.recorded_at, NEW.height,
            NEW.prev, NEW.hash)
        IS DISTINCT FROM (OLD.seq, OLD.stream, OLD.version, OLD.kind, OLD.commitment, OLD.authority, OLD.recorded_at,
            OLD.height, OLD.prev, OLD.hash))
    EXECUTE FUNCTION tallystick_refuse();
CREATE TRIGGER facts_stay BEFORE DELETE ON facts
    FOR EACH ROW EXECUTE FUNCTION tallystick_refuse();
CREATE TRIGGER facts_stay_all BEFORE TRUNCATE ON facts
    FOR EACH STATEMENT EXECUTE FUNCTION tallystick_refuse();
CREATE TRIGGER authorities_stay_as_they_are BEFORE UPDATE ON authorities
    FOR EACH ROW WHEN (NEW.digest IS DISTINCT FROM OLD.digest OR NEW.bytes IS NOT NULL)
    EXECUTE FUNCTION tallystick_refuse();
CREATE TRIGGER authorities_stay BEFORE DELETE ON authorities
    FOR EACH ROW EXECUTE FUNCTION tallystick_refuse();
CREATE TRIGGER authorities_stay_all BEFORE TRUNCATE ON authorities
    FOR EACH STATEMENT EXECUTE FUNCTION tallystick_refuse();

-- The end of the chain once more, written with every append: facts that got lost at the end are missed. Whoever writes
-- locks this row, so that all processes write one after the other.
CREATE TABLE head (
    one  smallint PRIMARY KEY CHECK (one = 1),
    seq  bigint NOT NULL CHECK (seq >= 0),
    hash bytea NOT NULL CHECK (length(hash) = 32)
) WITH (fillfactor = 10);
INSERT INTO head (one, seq, hash) VALUES (1, 0, decode(repeat('00', 32), 'hex'));

-- The tree over the entries of all facts, as tiles (C2SP tlog-tiles): 1 to 256 hashes of 32 bytes. A tile only grows.
CREATE TABLE log_tiles (
    level  bigint NOT NULL CHECK (level >= 0),
    idx    bigint NOT NULL CHECK (idx >= 0),
    hashes bytea NOT NULL CHECK (length(hashes) BETWEEN 32 AND 8192 AND length(hashes) % 32 = 0),
    PRIMARY KEY (level, idx)
);
-- Hashes do not get smaller.
ALTER TABLE log_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- How far the tree has come, and the checkpoint that is published, a signed note.
CREATE TABLE log_state (
    one            smallint PRIMARY KEY CHECK (one = 1),
    size           bigint NOT NULL CHECK (size >= 0),
    published_size bigint CHECK (published_size BETWEEN 0 AND size),
    published      bytea CHECK ((published IS NULL) = (published_size IS NULL))
) WITH (fillfactor = 10);
INSERT INTO log_state (one, size) VALUES (1, 0);

-- Finished effects stay, so that a key is unique for ever.
CREATE TABLE outbox (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key      text COLLATE "C" NOT NULL UNIQUE,
    stream   text COLLATE "C" NOT NULL,
    body     bytea NOT NULL,
    due      bigint NOT NULL CHECK (due >= 0),
    attempts bigint NOT NULL CHECK (attempts BETWEEN 0 AND 4294967295),
    finished boolean NOT NULL
);

CREATE INDEX outbox_pending ON outbox (due, id) WHERE NOT finished;

CREATE TABLE reservations (
    space  text COLLATE "C" NOT NULL,
    name   bytea NOT NULL,
    stream text COLLATE "C" NOT NULL,
    PRIMARY KEY (space, name)
);

CREATE TABLE seen_requests (
    id           bytea PRIMARY KEY CHECK (length(id) = 32),
    forget_after bigint NOT NULL CHECK (forget_after >= 0)
);

CREATE INDEX seen_requests_oldest ON seen_requests (forget_after);

-- The format of each read model's rows; 0 while they are not complete.
CREATE TABLE read_models (
    name   text PRIMARY KEY,
    format bigint NOT NULL CHECK (format BETWEEN 0 AND 4294967295)
);
INSERT INTO read_models (name, format) VALUES ('tasks', 0);

-- The read model of tasks. An id is a UUIDv7: it sorts by age.
CREATE TABLE tasks (
    id          uuid PRIMARY KEY,
    version     bigint NOT NULL CHECK (version > 0),
    state       text COLLATE "C" NOT NULL,
    requester   bytea NOT NULL CHECK (length(requester) = 32),
    worker      bytea CHECK (length(worker) = 32),
    wake_at     bigint CHECK (wake_at >= 0),
    wake_height bigint CHECK (wake_height >= 0),
    view        text NOT NULL
);

CREATE INDEX tasks_by_state ON tasks (state, id);
CREATE INDEX tasks_by_requester ON tasks (requester, id);
CREATE INDEX tasks_by_worker ON tasks (worker, id) WHERE worker IS NOT NULL;
CREATE INDEX tasks_by_wake_at ON tasks (wake_at, id) WHERE wake_at IS NOT NULL;
CREATE INDEX tasks_by_wake_height ON tasks (wake_height, id) WHERE wake_height IS NOT NULL;
