-- The validators after each block that changed them, as DAG-CBOR: light clients follow these blocks alone.
CREATE TABLE validator_sets (
    height     INTEGER NOT NULL PRIMARY KEY,
    validators BLOB    NOT NULL
);

-- Blocks by their hash.
CREATE TABLE block_hashes (
    hash   BLOB    NOT NULL PRIMARY KEY,
    height INTEGER NOT NULL
) WITHOUT ROWID;
