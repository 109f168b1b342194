-- Who has taken an effect to perform it, and until when; 0 while nobody has.
ALTER TABLE outbox ADD COLUMN claim_epoch INTEGER NOT NULL DEFAULT 0 CHECK (claim_epoch >= 0);
ALTER TABLE outbox ADD COLUMN claimed_until INTEGER NOT NULL DEFAULT 0 CHECK (claimed_until >= 0);
