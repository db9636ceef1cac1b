//! The node's database: SQLite in WAL mode, fully synchronous, one writer. A write that fails
//! stops the node; the restart path recovers it.

use larder_engine::rows::{Kind, Snapshot, Write};
use larder_ledger::{Certified, State};
use larder_proofs::{ProviderTree, ValidatorSet};
use larder_types::{Amount, Epoch, NodeId, codec};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{QueryBuilder, Row as _, Sqlite};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

mod light;
mod pages;
pub mod shares;

pub use light::Change;
pub use pages::Lists;

/// Rows in one statement: three variables each, below SQLite's bound.
const ROWS: usize = 1_000;
/// Most blocks, and most bytes of them, in one answer.
const MAX_BLOCKS: i64 = 256;
const MAX_BLOCK_BYTES: usize = 3 << 20;

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// Why the database failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite's reason.
    #[error("the node's database: {0}; check the disk's free space and health")]
    Sql(#[from] sqlx::Error),
    /// The schema cannot be brought up to date.
    #[error("the node's database: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// Written by a newer larder.
    #[error("the node's database was written by a newer version of larder; use that one")]
    Newer,
    /// A row that does not decode.
    #[error("the node's database is damaged at {0}; restore it from a copy")]
    Damaged(&'static str),
}

/// Verdicts over one provider since it registered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Epochs that it proved and was paid for.
    pub passed: u64,
    /// Epochs that it was not paid for.
    pub missed: u64,
    /// The newest that it proved.
    pub last_passed: Option<Epoch>,
    /// What it was paid, before fees.
    pub earned: Amount,
}

/// How the ledger judged this node's provider in an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The first epoch.
    pub epoch: Epoch,
    /// How many.
    pub epochs: u32,
    /// Whether it was paid.
    pub paid: bool,
    /// What was paid, or withheld in each of them.
    pub amount: Amount,
    /// What was taken from the collateral.
    pub charged: Amount,
    /// In words.
    pub reason: String,
}

/// What a block leaves behind beside itself.
#[derive(Debug, Default)]
pub struct Aftermath<'a> {
    /// The tallies that it changed.
    pub tallies: Vec<(NodeId, Tally)>,
    /// How it judged this node's provider.
    pub audits: Vec<Audit>,
    /// What it took from that provider's collateral, and for which epoch.
    pub charges: Vec<(Epoch, Amount)>,
    /// The validators after it, if they are others than before.
    pub validators: Option<&'a ValidatorSet>,
}

/// The node's database.
#[derive(Debug, Clone)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Store {
    /// Opens or makes the database file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(30));
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await?;
        MIGRATOR.run(&writer).await.map_err(|e| {
            if matches!(e, sqlx::migrate::MigrateError::VersionMissing(_)) {
                return StoreError::Newer;
            }
            StoreError::Migrate(e)
        })?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        pages::build(&mut tx).await?;
        tx.commit().await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options.read_only(true))
            .await?;
        Ok(Self { writer, readers })
    }

    /// Every row of the engine.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn engine_rows(&self) -> Result<Snapshot, StoreError> {
        let rows = sqlx::query("SELECT kind, key, value FROM engine_rows")
            .fetch_all(&self.readers)
            .await?;
        rows.iter()
            .map(|row| {
                let kind: i64 = row.try_get(0)?;
                let kind = u8::try_from(kind).map_err(|_| StoreError::Damaged("engine_rows"))?;
                Ok((kind, row.try_get(1)?, row.try_get(2)?))
            })
            .collect()
    }

    /// Makes the engine's writes durable, in order, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn persist(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        // Of several writes of one row the last counts; that also lets them go in batches.
        let mut last = BTreeMap::new();
        for write in writes {
            last.insert((write.kind, write.key), write.value);
        }
        let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let shards = last.iter().filter(|((kind, _), _)| *kind == Kind::Shard);
        let shards: Vec<_> = shards
            .map(|((_, key), value)| (&key[..], value.as_deref()))
            .collect();
        pages::follow(&mut tx, &shards).await?;
        let (puts, deletes): (Vec<_>, Vec<_>) = last.into_iter().partition(|(_, v)| v.is_some());
        for rows in puts.chunks(ROWS) {
            let mut query: QueryBuilder<Sqlite> =
                QueryBuilder::new("INSERT OR REPLACE INTO engine_rows (kind, key, value) ");
            query.push_values(rows, |mut row, ((kind, key), value)| {
                row.push_bind(*kind as i64).push_bind(key).push_bind(value);
            });
            query.build().execute(&mut *tx).await?;
        }
        for rows in deletes.chunks(ROWS) {
            let mut query: QueryBuilder<Sqlite> =
                QueryBuilder::new("DELETE FROM engine_rows WHERE (kind, key) IN (");
            query.push_values(rows, |mut row, ((kind, key), _)| {
                row.push_bind(*kind as i64).push_bind(key);
            });
            query.push(")");
            query.build().execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// What we have committed to with these contracts; their lists are read when they are asked for.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[must_use]
    pub fn lists<'a>(&'a self, tree: &'a ProviderTree) -> Lists<'a> {
        Lists::new(tree, &self.readers)
    }

    /// Makes a block durable, with what it leaves behind.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn append(
        &self,
        certified: &Certified,
        aftermath: &Aftermath<'_>,
    ) -> Result<(), StoreError> {
        let Aftermath {
            tallies,
            audits,
            charges,
            validators,
        } = aftermath;
        let height = signed(certified.block.header.height);
        let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("INSERT INTO blocks (height, bytes) VALUES (?, ?)")
            .bind(height)
            .bind(codec::encode(certified))
            .execute(&mut *tx)
            .await?;
        light::note(&mut tx, certified, *validators).await?;
        for tallies in tallies.chunks(ROWS) {
            let mut query: QueryBuilder<Sqlite> = QueryBuilder::new(
                "INSERT OR REPLACE INTO tallies (node, passed, missed, last_passed, earned) ",
            );
            query.push_values(tallies, |mut row, (node, tally)| {
                row.push_bind(node.0.to_vec())
                    .push_bind(signed(tally.passed))
                    .push_bind(signed(tally.missed))
                    .push_bind(tally.last_passed)
                    .push_bind(signed(tally.earned.nano()));
            });
            query.build().execute(&mut *tx).await?;
        }
        for audit in audits {
            sqlx::query(
                "INSERT OR REPLACE INTO audits (epoch, epochs, paid, nano, charged, reason) \
                 VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(audit.epoch)
            .bind(audit.epochs)
            .bind(audit.paid)
            .bind(signed(audit.amount.nano()))
            .bind(signed(audit.charged.nano()))
            .bind(&audit.reason)
            .execute(&mut *tx)
            .await?;
        }
        for (epoch, amount) in charges {
            sqlx::query("UPDATE audits SET charged = ? WHERE epoch = ?")
                .bind(signed(amount.nano()))
                .bind(epoch)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Keeps the state after the newest block, in place of the one kept before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep(&self, state: &State) -> Result<(), StoreError> {
        sqlx::query("INSERT OR REPLACE INTO ledger_state (id, height, bytes) VALUES (1, ?, ?)")
            .bind(signed(state.head().height))
            .bind(codec::encode(state))
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// The newest ledger state that was kept, and the blocks after it, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn chain(&self) -> Result<(Option<State>, Vec<Certified>), StoreError> {
        let kept = sqlx::query("SELECT height, bytes FROM ledger_state")
            .fetch_optional(&self.readers)
            .await?;
        let (height, state) = match kept {
            None => (-1, None),
            Some(row) => {
                let state = codec::decode(&row.try_get::<Vec<u8>, _>(1)?)
                    .map_err(|_| StoreError::Damaged("ledger_state"))?;
                (row.try_get(0)?, Some(state))
            }
        };
        let rows = sqlx::query("SELECT bytes FROM blocks WHERE height > ? ORDER BY height")
            .bind::<i64>(height)
            .fetch_all(&self.readers)
            .await?;
        let blocks = rows
            .iter()
            .map(|row| {
                codec::decode(&row.try_get::<Vec<u8>, _>(0)?)
                    .map_err(|_| StoreError::Damaged("blocks"))
            })
            .collect::<Result<_, _>>()?;
        Ok((state, blocks))
    }

    /// Every provider's tally.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tallies(&self) -> Result<BTreeMap<NodeId, Tally>, StoreError> {
        let rows = sqlx::query("SELECT node, passed, missed, last_passed, earned FROM tallies")
            .fetch_all(&self.readers)
            .await?;
        rows.iter()
            .map(|row| {
                let node: Vec<u8> = row.try_get(0)?;
                let node = node
                    .try_into()
                    .map_err(|_| StoreError::Damaged("tallies"))?;
                let tally = Tally {
                    passed: unsigned(row.try_get(1)?),
                    missed: unsigned(row.try_get(2)?),
                    last_passed: row.try_get(3)?,
                    earned: Amount(unsigned(row.try_get(4)?)),
                };
                Ok((NodeId(node), tally))
            })
            .collect()
    }

    /// How the ledger judged this node's provider, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audits(&self) -> Result<Vec<Audit>, StoreError> {
        let rows = sqlx::query(
            "SELECT epoch, epochs, paid, nano, charged, reason FROM audits \
             ORDER BY epoch DESC LIMIT 10000",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Audit {
                    epoch: row.try_get(0)?,
                    epochs: row.try_get(1)?,
                    paid: row.try_get(2)?,
                    amount: Amount(unsigned(row.try_get(3)?)),
                    charged: Amount(unsigned(row.try_get(4)?)),
                    reason: row.try_get(5)?,
                })
            })
            .collect()
    }

    /// Encoded blocks from a height on, as many as fit one answer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn blocks(&self, from: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let rows =
            sqlx::query("SELECT bytes FROM blocks WHERE height >= ? ORDER BY height LIMIT ?")
                .bind(signed(from))
                .bind(MAX_BLOCKS)
                .fetch_all(&self.readers)
                .await?;
        let mut size = 0;
        let mut blocks = Vec::new();
        for row in rows {
            let bytes: Vec<u8> = row.try_get(0)?;
            size += bytes.len();
            if size > MAX_BLOCK_BYTES && !blocks.is_empty() {
                break;
            }
            blocks.push(bytes);
        }
        Ok(blocks)
    }

    /// Writes everything back and closes the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// SQLite's integers are signed; heights, times and amounts stay below 2^63.
pub(crate) fn signed(v: u64) -> i64 {
    i64::try_from(v).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(v: i64) -> u64 {
    u64::try_from(v).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(key: u8, value: Option<&[u8]>) -> Write {
        Write {
            kind: Kind::Held,
            key: vec![key],
            value: value.map(<[u8]>::to_vec),
        }
    }

    #[tokio::test]
    async fn rows_are_there_after_reopening_and_the_last_write_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.db");
        let store = Store::open(&path).await.unwrap();
        let many = (0..=255).map(|k| write(k, Some(b"first")));
        store.persist(many.collect()).await.unwrap();
        let gone = (2..=255).map(|k| write(k, None));
        let last = [
            write(0, Some(b"second")),
            write(1, None),
            write(1, Some(b"third")),
        ];
        store
            .persist(last.into_iter().chain(gone).collect())
            .await
            .unwrap();
        store.close().await;
        let store = Store::open(&path).await.unwrap();
        let rows = store.engine_rows().await.unwrap();
        assert_eq!(
            rows,
            [
                (1, vec![0], b"second".to_vec()),
                (1, vec![1], b"third".to_vec())
            ]
        );
    }

    #[tokio::test]
    async fn a_database_from_the_future_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.db");
        let store = Store::open(&path).await.unwrap();
        sqlx::query("INSERT INTO _sqlx_migrations VALUES (99, 'later', 0, 1, x'00', 0)")
            .execute(&store.writer)
            .await
            .unwrap();
        store.close().await;
        assert!(matches!(Store::open(&path).await, Err(StoreError::Newer)));
    }
}
