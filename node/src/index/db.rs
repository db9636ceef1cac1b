//! The index's database: `index.db`, apart from the node's, so that neither waits for the other. It can be
//! deleted while the node is down: it is made anew from the blocks. Commits are not synced one by one:
//! what a power cut takes from its end is filled in again.

use super::coverage::{Coverage, Subject};
use super::rows::{Parts, Row, Rows, TxPlace, number};
use crate::store::{StoreError, signed, unsigned};
use larder_types::{AccountId, Time, TxId};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{QueryBuilder, Row as _, Sqlite, Transaction};
use std::path::Path;
use std::time::Duration;

/// Rows in one statement: nine variables each, below SQLite's bound.
const ROWS: usize = 2_000;

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./index");

/// The database.
#[derive(Debug, Clone)]
pub(super) struct Db {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Db {
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
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
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options.read_only(true))
            .await?;
        Ok(Self { writer, readers })
    }

    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// The newest block that is in.
    pub(super) async fn height(&self) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT height FROM progress")
            .fetch_one(&self.readers)
            .await?;
        Ok(unsigned(row.try_get(0)?))
    }

    /// Puts in what came as it was made, up to the block of `height`.
    pub(super) async fn append(&self, rows: &Rows, height: u64) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        insert(&mut tx, rows).await?;
        set_height(&mut tx, height).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Fills in what was missing of these subjects, up to `height`.
    pub(super) async fn fill(
        &self,
        rows: &Rows,
        subjects: &[Coverage],
        height: i64,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        insert(&mut tx, rows).await?;
        for Coverage { subject, .. } in subjects {
            // A subject that is not kept any more stays so.
            sqlx::query(
                "UPDATE coverage SET below = MAX(below, MIN(?, above - 1)) WHERE subject = ?",
            )
            .bind(height)
            .bind(subject.to_bytes())
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Makes the chain end at `head`, and sets what is covered, and the newest block that is in.
    pub(super) async fn cover(
        &self,
        head: u64,
        covered: &[Coverage],
        height: u64,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for table in ["txs", "movements"] {
            let mut query: QueryBuilder<Sqlite> = QueryBuilder::new("DELETE FROM ");
            query.push(table).push(" WHERE height > ");
            query.push_bind(signed(head));
            query.build().execute(&mut *tx).await?;
        }
        sqlx::query("DELETE FROM coverage")
            .execute(&mut *tx)
            .await?;
        for coverage in covered {
            put(&mut tx, coverage).await?;
        }
        let everybody = covered.iter().any(|c| c.subject == Subject::Everybody);
        if !everybody {
            sqlx::query(
                "DELETE FROM movements WHERE account NOT IN (SELECT subject FROM coverage)",
            )
            .execute(&mut *tx)
            .await?;
        }
        set_height(&mut tx, height).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Covers one more subject.
    pub(super) async fn adopt(&self, coverage: &Coverage) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        put(&mut tx, coverage).await?;
        tx.commit().await?;
        Ok(())
    }

    /// What is covered.
    pub(super) async fn coverage(&self) -> Result<Vec<Coverage>, StoreError> {
        let rows = sqlx::query("SELECT subject, below, above FROM coverage ORDER BY subject")
            .fetch_all(&self.readers)
            .await?;
        rows.iter()
            .map(|row| {
                let subject = Subject::from_bytes(&row.try_get::<Vec<u8>, _>(0)?);
                Ok(Coverage {
                    subject: subject.ok_or(StoreError::Damaged("coverage"))?,
                    below: row.try_get(1)?,
                    above: row.try_get(2)?,
                })
            })
            .collect()
    }

    /// Where a transaction stands.
    pub(super) async fn tx(&self, id: &TxId) -> Result<Option<TxPlace>, StoreError> {
        let row = sqlx::query("SELECT height, place FROM txs WHERE id = ?")
            .bind(id.0.to_vec())
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| {
            Ok(TxPlace {
                id: *id,
                height: unsigned(row.try_get(0)?),
                place: row.try_get(1)?,
            })
        })
        .transpose()
    }

    /// An account's movements in blocks up to `head`, newest first, beginning before the one at `before`.
    pub(super) async fn movements(
        &self,
        account: &AccountId,
        head: u64,
        before: (u64, u32),
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let rows = sqlx::query(
            "SELECT height, place, time, cause, is_in, nano, other, tx FROM movements \
             WHERE account = ? AND height <= ? AND (height, place) < (?, ?) \
             ORDER BY height DESC, place DESC LIMIT ?",
        )
        .bind(account.0.to_vec())
        .bind(signed(head))
        .bind(signed(before.0))
        .bind(before.1)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| read(account, row)).collect()
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn read(account: &AccountId, row: &SqliteRow) -> Result<Row, StoreError> {
    let parts = Parts {
        account: *account,
        cause: row.try_get(3)?,
        is_in: row.try_get(4)?,
        nano: unsigned(row.try_get(5)?),
        other: row.try_get(6)?,
        tx: row.try_get(7)?,
    };
    Ok(Row {
        height: unsigned(row.try_get(0)?),
        place: row.try_get(1)?,
        time: Time(unsigned(row.try_get(2)?)),
        movement: parts.movement().ok_or(StoreError::Damaged("movements"))?,
    })
}

async fn set_height(tx: &mut Transaction<'_, Sqlite>, height: u64) -> Result<(), StoreError> {
    sqlx::query("UPDATE progress SET height = ?")
        .bind(signed(height))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn put(tx: &mut Transaction<'_, Sqlite>, coverage: &Coverage) -> Result<(), StoreError> {
    sqlx::query("INSERT OR REPLACE INTO coverage (subject, below, above) VALUES (?, ?, ?)")
        .bind(coverage.subject.to_bytes())
        .bind(coverage.below)
        .bind(coverage.above)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn insert(tx: &mut Transaction<'_, Sqlite>, rows: &Rows) -> Result<(), StoreError> {
    for some in rows.txs.chunks(ROWS) {
        let mut query: QueryBuilder<Sqlite> =
            QueryBuilder::new("INSERT OR REPLACE INTO txs (id, height, place) ");
        query.push_values(some, |mut row, tx| {
            row.push_bind(tx.id.0.to_vec())
                .push_bind(signed(tx.height))
                .push_bind(tx.place);
        });
        query.build().execute(&mut **tx).await?;
    }
    for some in rows.movements.chunks(ROWS) {
        let mut query: QueryBuilder<Sqlite> = QueryBuilder::new(
            "INSERT OR REPLACE INTO movements \
             (account, height, place, time, cause, is_in, nano, other, tx) ",
        );
        query.push_values(some, |mut row, kept| {
            let moved = &kept.movement;
            row.push_bind(moved.account.0.to_vec())
                .push_bind(signed(kept.height))
                .push_bind(kept.place)
                .push_bind(signed(kept.time.0))
                .push_bind(number(moved.cause))
                .push_bind(moved.is_in)
                .push_bind(signed(moved.amount.nano()))
                .push_bind(moved.other.map(|id| id.to_vec()))
                .push_bind(moved.tx.map(|id| id.0.to_vec()));
        });
        query.build().execute(&mut **tx).await?;
    }
    Ok(())
}
