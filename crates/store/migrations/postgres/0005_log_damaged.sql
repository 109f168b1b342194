-- Has its row while the log is damaged: no replica begins anything new on it. It goes when the tree is made again.
CREATE TABLE log_damaged (
    one smallint PRIMARY KEY CHECK (one = 1)
);
