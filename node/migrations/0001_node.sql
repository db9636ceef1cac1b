-- The node's database: the engine's rows, the chain, the newest ledger state, the account's history.
CREATE TABLE engine_rows (
    kind  INTEGER NOT NULL,
    key   BLOB    NOT NULL,
    value BLOB    NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;

CREATE TABLE blocks (
    height INTEGER PRIMARY KEY,
    bytes  BLOB    NOT NULL
);

-- One row: the ledger's state after the block of this height.
CREATE TABLE ledger_state (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    height INTEGER NOT NULL,
    bytes  BLOB    NOT NULL
);

CREATE TABLE history (
    seq          INTEGER PRIMARY KEY,
    height       INTEGER NOT NULL,
    time         INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    incoming     INTEGER NOT NULL,
    nano         INTEGER NOT NULL,
    counterparty TEXT,
    tx           TEXT
);

-- Verdicts over each provider since it registered.
CREATE TABLE tallies (
    node        BLOB    PRIMARY KEY,
    passed      INTEGER NOT NULL,
    missed      INTEGER NOT NULL,
    last_passed INTEGER,
    earned      INTEGER NOT NULL
) WITHOUT ROWID;
