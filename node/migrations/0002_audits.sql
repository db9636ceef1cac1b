-- How the ledger judged this node's own provider, epoch by epoch.
CREATE TABLE audits (
    epoch   INTEGER PRIMARY KEY,
    epochs  INTEGER NOT NULL,
    paid    INTEGER NOT NULL,
    nano    INTEGER NOT NULL,
    charged INTEGER NOT NULL,
    reason  TEXT    NOT NULL
);
