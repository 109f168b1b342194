-- Who has taken an effect to perform it, and until when; 0 while nobody has.
ALTER TABLE outbox ADD COLUMN claim_epoch bigint NOT NULL DEFAULT 0 CHECK (claim_epoch >= 0);
ALTER TABLE outbox ADD COLUMN claimed_until bigint NOT NULL DEFAULT 0 CHECK (claimed_until >= 0);

-- The key that the node signs its own facts with: all replicas are one node.
CREATE TABLE node (
    one smallint PRIMARY KEY CHECK (one = 1),
    key bytea NOT NULL CHECK (length(key) = 32)
);
