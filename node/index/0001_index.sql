-- What follows from the chain and can be made anew from it; apart from node.db, so that the node's own
-- writes never wait for it.

-- Where a transaction stands.
CREATE TABLE txs (
    id     BLOB    NOT NULL PRIMARY KEY,
    height INTEGER NOT NULL,
    place  INTEGER NOT NULL
) WITHOUT ROWID;

-- What moved on accounts. `place` counts an account's movements in a block, and does not depend on which
-- other accounts are kept.
CREATE TABLE movements (
    account BLOB    NOT NULL,
    height  INTEGER NOT NULL,
    place   INTEGER NOT NULL,
    time    INTEGER NOT NULL,
    cause   INTEGER NOT NULL,
    is_in   INTEGER NOT NULL,
    nano    INTEGER NOT NULL,
    other   BLOB,
    tx      BLOB,
    PRIMARY KEY (account, height, place)
) WITHOUT ROWID;

-- Of which heights something is kept: all up to `below`, and all from `above` on. A subject is an account,
-- or one byte: 0 the transactions, 1 every account.
CREATE TABLE coverage (
    subject BLOB    NOT NULL PRIMARY KEY,
    below   INTEGER NOT NULL,
    above   INTEGER NOT NULL
) WITHOUT ROWID;

-- One row: the newest block that is in.
CREATE TABLE progress (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    height INTEGER NOT NULL
);
INSERT INTO progress VALUES (1, 0);
