-- The wrapped keys of a piece once more, as one hash that is written with them: a key that is lost, added or changed is missed.
-- The hash of none.
ALTER TABLE evidence ADD COLUMN keys bytea NOT NULL
    DEFAULT '\xdf3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119' CHECK (length(keys) = 32);

-- Since when a dispute is over, its facts tell.
DROP TABLE evidence_over;
