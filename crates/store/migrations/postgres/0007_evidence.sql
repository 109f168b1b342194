-- Evidence of disputes, encrypted by whoever filed it. Not facts: what the facts name is kept here until it is erased.
CREATE TABLE evidence (
    task       uuid NOT NULL,
    dispute    uuid NOT NULL,
    hash       bytea NOT NULL CHECK (length(hash) = 32),
    uploader   bytea NOT NULL CHECK (length(uploader) = 32),
    bytes      bigint NOT NULL CHECK (bytes > 0),
    touched_at bigint NOT NULL CHECK (touched_at >= 0),
    filed      boolean NOT NULL,
    PRIMARY KEY (task, dispute, hash)
);

-- Its bytes, in parts: each but the last has 32 KiB.
CREATE TABLE evidence_parts (
    task    uuid NOT NULL,
    dispute uuid NOT NULL,
    hash    bytea NOT NULL,
    part    bigint NOT NULL CHECK (part >= 0),
    content bytea NOT NULL CHECK (length(content) BETWEEN 1 AND 32768),
    PRIMARY KEY (task, dispute, hash, part),
    FOREIGN KEY (task, dispute, hash) REFERENCES evidence (task, dispute, hash) ON DELETE CASCADE
);
-- What is encrypted does not get smaller.
ALTER TABLE evidence_parts ALTER COLUMN content SET STORAGE EXTERNAL;

-- The keys that open it, each encrypted to one reader.
CREATE TABLE evidence_keys (
    task    uuid NOT NULL,
    dispute uuid NOT NULL,
    hash    bytea NOT NULL,
    reader  bytea NOT NULL CHECK (length(reader) = 32),
    wrapped text NOT NULL CHECK (length(wrapped) BETWEEN 1 AND 256),
    PRIMARY KEY (task, dispute, hash, reader),
    FOREIGN KEY (task, dispute, hash) REFERENCES evidence (task, dispute, hash) ON DELETE CASCADE
);

-- Since when a dispute with evidence is seen to be over.
CREATE TABLE evidence_over (
    task    uuid NOT NULL,
    dispute uuid NOT NULL,
    since   bigint NOT NULL CHECK (since >= 0),
    PRIMARY KEY (task, dispute)
);
