-- Evidence of disputes, encrypted by whoever filed it. Not facts: what the facts name is kept here until it is erased.
CREATE TABLE evidence (
    task       BLOB NOT NULL CHECK (length(task) = 16),
    dispute    BLOB NOT NULL CHECK (length(dispute) = 16),
    hash       BLOB NOT NULL CHECK (length(hash) = 32),
    uploader   BLOB NOT NULL CHECK (length(uploader) = 32),
    bytes      INTEGER NOT NULL CHECK (bytes > 0),
    touched_at INTEGER NOT NULL CHECK (touched_at >= 0),
    filed      INTEGER NOT NULL CHECK (filed IN (0, 1)),
    PRIMARY KEY (task, dispute, hash)
) STRICT;

-- Its bytes, in parts: each but the last has 32 KiB.
CREATE TABLE evidence_parts (
    task    BLOB NOT NULL,
    dispute BLOB NOT NULL,
    hash    BLOB NOT NULL,
    part    INTEGER NOT NULL CHECK (part >= 0),
    content BLOB NOT NULL CHECK (length(content) BETWEEN 1 AND 32768),
    PRIMARY KEY (task, dispute, hash, part),
    FOREIGN KEY (task, dispute, hash) REFERENCES evidence (task, dispute, hash) ON DELETE CASCADE
) STRICT;

-- The keys that open it, each encrypted to one reader.
CREATE TABLE evidence_keys (
    task    BLOB NOT NULL,
    dispute BLOB NOT NULL,
    hash    BLOB NOT NULL,
    reader  BLOB NOT NULL CHECK (length(reader) = 32),
    wrapped TEXT NOT NULL CHECK (length(wrapped) BETWEEN 1 AND 256),
    PRIMARY KEY (task, dispute, hash, reader),
    FOREIGN KEY (task, dispute, hash) REFERENCES evidence (task, dispute, hash) ON DELETE CASCADE
) STRICT;

-- Since when a dispute with evidence is seen to be over.
CREATE TABLE evidence_over (
    task    BLOB NOT NULL CHECK (length(task) = 16),
    dispute BLOB NOT NULL CHECK (length(dispute) = 16),
    since   INTEGER NOT NULL CHECK (since >= 0),
    PRIMARY KEY (task, dispute)
) STRICT;
