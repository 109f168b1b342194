-- Has its row while a journal is being copied into this database: until the copy is whole nobody serves it.
CREATE TABLE copying (
    one smallint PRIMARY KEY CHECK (one = 1)
);
