-- The provider's shards by contract and place, 256 to a row, beside the content node of height 8 over
-- them: hash[32], chunks u64. They follow from the rows of kind 2 and change with them.
CREATE TABLE shard_pages (
    contract BLOB    NOT NULL,
    page     INTEGER NOT NULL,
    node     BLOB    NOT NULL,
    leaves   BLOB    NOT NULL,
    PRIMARY KEY (contract, page)
);
