//! The provider's lists of shards by the page, as a proof reads them: 256 leaves to a row, beside
//! the node over them. So a proof of any provider holds few of them, and needs none in memory. They
//! follow from the engine's rows of shards and change in the same transaction.
//! `docs/protocol.md` §3.3.

use super::{ROWS, StoreError};
use larder_engine::rows::{Kind, ShardRow};
use larder_proofs::commitments::{PAGE, page_node};
use larder_proofs::{Commitments, ProviderTree, ShardLeaf, Sibling};
use larder_types::{ContractId, Hash, codec};
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{QueryBuilder, Row as _, Sqlite};
use std::collections::BTreeMap;
use tokio::runtime::Handle;

/// What a provider has committed to: its contracts in memory, which the ledger's state has in any
/// case; their lists in the database.
#[derive(Debug)]
pub struct Lists<'a> {
    tree: &'a ProviderTree,
    readers: &'a SqlitePool,
    runtime: Handle,
}

impl<'a> Lists<'a> {
    /// Reads through these connections, on a thread that may block.
    pub(super) fn new(tree: &'a ProviderTree, readers: &'a SqlitePool) -> Self {
        Self {
            tree,
            readers,
            runtime: Handle::current(),
        }
    }
}

impl Commitments for Lists<'_> {
    type Error = StoreError;

    fn tree(&self) -> &ProviderTree {
        self.tree
    }

    fn pages(&self, contract: &ContractId) -> Result<Vec<Sibling>, StoreError> {
        let query =
            sqlx::query("SELECT page, node FROM shard_pages WHERE contract = ? ORDER BY page")
                .bind(&contract.0[..])
                .fetch_all(self.readers);
        let mut nodes = Vec::new();
        for row in self.runtime.block_on(query)? {
            let page: u32 = row.try_get(0)?;
            // A page of which all was lost has no row.
            nodes.resize(page as usize, page_node(&[]).ok_or_else(damaged)?);
            nodes.push(read_node(row.try_get(1)?)?);
        }
        Ok(nodes)
    }

    fn page(&self, contract: &ContractId, page: u32) -> Result<Vec<ShardLeaf>, StoreError> {
        let query = sqlx::query("SELECT leaves FROM shard_pages WHERE contract = ? AND page = ?")
            .bind(&contract.0[..])
            .bind(page)
            .fetch_optional(self.readers);
        match self.runtime.block_on(query)? {
            Some(row) => read_leaves(row.try_get(0)?),
            None => Ok(Vec::new()),
        }
    }
}

/// Where a shard is in its contract's list.
type Place = (ContractId, u64);

const fn damaged() -> StoreError {
    StoreError::Damaged("shard_pages")
}

/// Brings the pages up to the writes of shards that are about to be made, by key: the new row or
/// nothing. Costs a page for each that is touched.
pub(super) async fn follow(
    tx: &mut SqliteConnection,
    writes: &[(&[u8], Option<&[u8]>)],
) -> Result<(), StoreError> {
    let mut changes = BTreeMap::new();
    for some in writes.chunks(ROWS) {
        let mut query: QueryBuilder<Sqlite> =
            QueryBuilder::new("SELECT value FROM engine_rows WHERE kind = ");
        query.push_bind(Kind::Shard as i64).push(" AND key IN (");
        let mut keys = query.separated(", ");
        for (key, _) in some {
            keys.push_bind(*key);
        }
        query.push(")");
        for row in query.build().fetch_all(&mut *tx).await? {
            let old = placed(row.try_get(0)?)?;
            changes.extend(old.map(|(place, _)| (place, ShardLeaf::EMPTY)));
        }
    }
    for value in writes.iter().filter_map(|(_, value)| *value) {
        changes.extend(placed(value)?);
    }
    set(tx, changes).await
}

/// Makes the pages of a database that has shards and no pages yet: one from before.
pub(super) async fn build(tx: &mut SqliteConnection) -> Result<(), StoreError> {
    let made = sqlx::query("SELECT 1 FROM shard_pages LIMIT 1");
    if made.fetch_optional(&mut *tx).await?.is_some() {
        return Ok(());
    }
    let mut after: Vec<u8> = Vec::new();
    loop {
        let rows = sqlx::query(
            "SELECT key, value FROM engine_rows WHERE kind = ? AND key > ? ORDER BY key LIMIT ?",
        )
        .bind(Kind::Shard as i64)
        .bind(&after)
        .bind(i64::try_from(ROWS).unwrap_or(i64::MAX))
        .fetch_all(&mut *tx)
        .await?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after = last.try_get(0)?;
        let mut changes = BTreeMap::new();
        for row in &rows {
            changes.extend(placed(row.try_get(1)?)?);
        }
        set(tx, changes).await?;
    }
}

/// A shard's place and leaf; nothing if it is in no revision.
fn placed(row: &[u8]) -> Result<Option<(Place, ShardLeaf)>, StoreError> {
    let row: ShardRow = codec::decode(row).map_err(|_| StoreError::Damaged("engine_rows"))?;
    Ok(row.index.map(|index| ((row.contract, index), row.leaf)))
}

/// Puts leaves in their places. A page without any is none.
async fn set(
    tx: &mut SqliteConnection,
    changes: BTreeMap<Place, ShardLeaf>,
) -> Result<(), StoreError> {
    let mut pages: BTreeMap<(ContractId, u64), Vec<(usize, ShardLeaf)>> = BTreeMap::new();
    for ((contract, index), leaf) in changes {
        let (page, at) = (index / PAGE as u64, index % PAGE as u64);
        let at = usize::try_from(at).map_err(|_| damaged())?;
        pages.entry((contract, page)).or_default().push((at, leaf));
    }
    for ((contract, page), changes) in pages {
        let page = i64::try_from(page).map_err(|_| damaged())?;
        let held = sqlx::query("SELECT leaves FROM shard_pages WHERE contract = ? AND page = ?")
            .bind(&contract.0[..])
            .bind(page)
            .fetch_optional(&mut *tx)
            .await?;
        let mut leaves = match held {
            Some(row) => read_leaves(row.try_get(0)?)?,
            None => Vec::new(),
        };
        for (at, leaf) in changes {
            leaves.resize(leaves.len().max(at + 1), ShardLeaf::EMPTY);
            leaves[at] = leaf;
        }
        let used = leaves.iter().rposition(|leaf| !leaf.is_empty());
        leaves.truncate(used.map_or(0, |last| last + 1));
        write(tx, &contract, page, &leaves).await?;
    }
    Ok(())
}

async fn write(
    tx: &mut SqliteConnection,
    contract: &ContractId,
    page: i64,
    leaves: &[ShardLeaf],
) -> Result<(), StoreError> {
    if leaves.is_empty() {
        sqlx::query("DELETE FROM shard_pages WHERE contract = ? AND page = ?")
            .bind(&contract.0[..])
            .bind(page)
            .execute(tx)
            .await?;
        return Ok(());
    }
    let node = page_node(leaves).ok_or_else(damaged)?;
    let node = [&node.hash.0[..], &node.chunks.to_le_bytes()].concat();
    let leaves: Vec<u8> = leaves.iter().flat_map(ShardLeaf::to_bytes).collect();
    sqlx::query(
        "INSERT OR REPLACE INTO shard_pages (contract, page, node, leaves) VALUES (?, ?, ?, ?)",
    )
    .bind(&contract.0[..])
    .bind(page)
    .bind(node)
    .bind(leaves)
    .execute(tx)
    .await?;
    Ok(())
}

fn read_leaves(bytes: &[u8]) -> Result<Vec<ShardLeaf>, StoreError> {
    let leaves = bytes.chunks(ShardLeaf::LEN).map(ShardLeaf::from_bytes);
    leaves.collect::<Result<_, _>>().map_err(|_| damaged())
}

fn read_node(bytes: &[u8]) -> Result<Sibling, StoreError> {
    let (hash, chunks) = bytes.split_first_chunk().ok_or_else(damaged)?;
    let chunks = chunks.try_into().map_err(|_| damaged())?;
    Ok(Sibling {
        hash: Hash(*hash),
        chunks: u64::from_le_bytes(chunks),
    })
}

#[cfg(test)]
#[path = "pages/tests.rs"]
mod tests;
