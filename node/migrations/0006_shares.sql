-- What this home has shared with others: a DAG-CBOR description by the share's id.
CREATE TABLE shares (
    id      BLOB    PRIMARY KEY,
    created INTEGER NOT NULL,
    body    BLOB    NOT NULL
) WITHOUT ROWID;
-- What others have shared with it: a description, and the file as it came, still sealed.
CREATE TABLE received (
    id       BLOB    PRIMARY KEY,
    received INTEGER NOT NULL,
    body     BLOB    NOT NULL,
    sealed   BLOB    NOT NULL
);
