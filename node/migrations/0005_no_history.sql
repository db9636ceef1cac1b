-- What moved on accounts lies in index.db, and is made anew from the chain.
DROP TABLE history;
