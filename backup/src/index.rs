//! The index: which blobs lie in which segments, and which snapshots there are. SQLite in WAL
//! mode, fully synchronous. It is a cache: [`crate::Vault::rebuild`] makes it anew from metadata
//! segments. For that it knows of each data segment which metadata segment lists it.
//!
//! A segment's rows are written before it is sent, as pending; it counts for restores and for
//! snapshots only once it is durable. A blob may lie in several segments (a higher class).
//! sqlx costs about 60 µs a statement, so all statements take many rows.

use crate::contents::{Contents, Says};
use crate::mark::SignedMark;
use crate::segments::{KnownSegment, SealedSegment, SegmentKind};
use crate::snapshot::{Snapshot, SnapshotId};
use larder_coding::{BlobKind, IndexEntry, Listing};
use larder_types::{BlobId, Class, SegmentId, codec};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

/// Rows per `INSERT` and ids per `IN` list.
const ROWS: usize = 1_000;

/// Each brings the schema before it to its own version; a fresh index takes all of them.
const SCHEMAS: [&str; 5] = [FIRST, LISTED, MARKS, DOOMED, LOST];

const FIRST: &str = "
CREATE TABLE segments (
    no INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, class INTEGER NOT NULL, kind INTEGER NOT NULL,
    len INTEGER NOT NULL, stored INTEGER NOT NULL DEFAULT 0, durable INTEGER NOT NULL DEFAULT 0);
CREATE INDEX segments_pending ON segments (durable) WHERE durable = 0;
CREATE TABLE blobs (
    id BLOB NOT NULL, segment INTEGER NOT NULL REFERENCES segments (no), offset INTEGER NOT NULL,
    len INTEGER NOT NULL, plain_len INTEGER NOT NULL, kind INTEGER NOT NULL,
    PRIMARY KEY (id, segment)) WITHOUT ROWID;
CREATE TABLE snapshots (
    id BLOB PRIMARY KEY, segment INTEGER NOT NULL REFERENCES segments (no), time INTEGER NOT NULL,
    body BLOB NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
";

/// Which metadata segment lists a data segment. A listing that is under way counts: if its segment
/// turns out not to exist, [`Index::drop_segment`] takes it back.
const LISTED: &str = "
ALTER TABLE segments ADD COLUMN listed_in INTEGER REFERENCES segments (no);
CREATE INDEX blobs_segment ON blobs (segment, offset);
PRAGMA user_version = 2;
";

/// Marks on snapshots, as they lie in metadata segments. Who signed them is looked at when they are
/// read.
const MARKS: &str = "
CREATE TABLE marks (
    snapshot BLOB NOT NULL, no INTEGER NOT NULL, sig BLOB NOT NULL,
    segment INTEGER NOT NULL REFERENCES segments (no), body BLOB NOT NULL,
    PRIMARY KEY (segment, body)) WITHOUT ROWID;
CREATE INDEX marks_snapshot ON marks (snapshot, no);
PRAGMA user_version = 3;
";

/// Which segments are to go: nothing is deduplicated against them any more.
const DOOMED: &str = "
ALTER TABLE segments ADD COLUMN doomed INTEGER NOT NULL DEFAULT 0;
PRAGMA user_version = 4;
";

/// Which segments were found to be lost: what lies in them is stored again by the next backup that
/// meets it.
const LOST: &str = "
ALTER TABLE segments ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
PRAGMA user_version = 5;
";

/// Why the index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// SQLite's reason.
    #[error("the vault's index: {0}")]
    Sql(#[from] sqlx::Error),
    /// Written by a newer larder.
    #[error("the vault's index was written by a newer version of larder (schema {0})")]
    Newer(i64),
    /// A row that nobody wrote like this.
    #[error("the vault's index is damaged: bad {0}; rebuild it from the segments")]
    Damaged(&'static str),
}

/// Where a blob lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The segment's number in this index.
    pub(crate) segment: i64,
    /// Byte at which its header begins.
    pub(crate) offset: u64,
    /// Bytes, header included.
    pub(crate) len: u64,
}

/// What the vault holds, as the index knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Snapshots.
    pub snapshots: u64,
    /// Durable segments.
    pub segments: u64,
    /// Distinct places of blobs in them.
    pub blobs: u64,
    /// Bytes of plaintext in them.
    pub bytes: u64,
    /// Bytes of the segments before coding.
    pub bytes_sealed: u64,
    /// Bytes with providers, redundancy included, as far as it was told.
    pub bytes_stored: u64,
}

pub(crate) mod live;

#[derive(Clone, Debug)]
pub(crate) struct Index {
    pool: SqlitePool,
}

impl Index {
    /// Opens or makes the index file.
    pub(crate) async fn open(path: &Path) -> Result<Self, IndexError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(30));
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await?;
        let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
        let version: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&mut *tx)
            .await?;
        let applied = usize::try_from(version).unwrap_or(usize::MAX);
        for schema in SCHEMAS.get(applied..).ok_or(IndexError::Newer(version))? {
            sqlx::raw_sql(*schema).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(Self { pool })
    }

    /// Which of `ids` lie in a segment of at least `class`, durable or under way, that is to stay and
    /// is not lost.
    pub(crate) async fn known(
        &self,
        ids: &[BlobId],
        class: Class,
    ) -> Result<HashSet<BlobId>, IndexError> {
        let mut known = HashSet::new();
        for ids in ids.chunks(ROWS) {
            let mut query = QueryBuilder::new(
                "SELECT b.id FROM blobs b JOIN segments s ON s.no = b.segment \
                 WHERE s.doomed = 0 AND s.lost = 0 AND s.class >= ",
            );
            query.push_bind(class_number(class)).push(" AND b.id IN (");
            bind_ids(&mut query, ids);
            for row in query.build().fetch_all(&self.pool).await? {
                known.insert(BlobId(id32(&row, 0)?));
            }
        }
        Ok(known)
    }

    /// Where `ids` lie in durable segments; of several places any, if possible one that is
    /// not lost and to stay.
    pub(crate) async fn locate(
        &self,
        ids: &[BlobId],
    ) -> Result<HashMap<BlobId, Place>, IndexError> {
        let mut places = HashMap::new();
        for ids in ids.chunks(ROWS) {
            let mut query = QueryBuilder::new(
                "SELECT b.id, b.segment, b.offset, b.len FROM blobs b \
                 JOIN segments s ON s.no = b.segment WHERE s.durable = 1 AND b.id IN (",
            );
            bind_ids(&mut query, ids);
            query.push(" ORDER BY s.lost DESC, s.doomed DESC");
            for row in query.build().fetch_all(&self.pool).await? {
                let place = Place {
                    segment: row.try_get(1)?,
                    offset: unsigned(&row, 2)?,
                    len: unsigned(&row, 3)?,
                };
                places.insert(BlobId(id32(&row, 0)?), place);
            }
        }
        Ok(places)
    }

    /// The id of the segment numbered `no`.
    pub(crate) async fn segment_id(&self, no: i64) -> Result<SegmentId, IndexError> {
        let row = sqlx::query("SELECT id FROM segments WHERE no = ?")
            .bind(no)
            .fetch_one(&self.pool)
            .await?;
        Ok(SegmentId(id32(&row, 0)?))
    }

    /// Enters a segment as pending: its blobs, and what some of them say.
    pub(crate) async fn add_segment(
        &self,
        segment: &SealedSegment,
        blobs: &[IndexEntry],
        says: &Says,
    ) -> Result<(), IndexError> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let known = segment.known();
        if let Some(no) = insert_segment(&mut tx, &known, segment.len, blobs, false).await? {
            insert_snapshots(&mut tx, no, &says.snapshots).await?;
            insert_marks(&mut tx, no, &says.marks).await?;
            mark_listed(&mut tx, (no, known.class), &says.listed).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Enters a durable metadata segment and the data segments that it lists and that are new: as
    /// durable if `is_kept`, else as pending, so that nothing is ever deduplicated against them.
    pub(crate) async fn enter(
        &self,
        segment: &KnownSegment,
        len: u64,
        contents: &Contents,
        is_kept: impl Fn(&SegmentId) -> bool,
    ) -> Result<(), IndexError> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        for listing in &contents.listings {
            let known = KnownSegment {
                id: listing.segment,
                class: listing.class,
                kind: SegmentKind::Data,
            };
            let durable = is_kept(&known.id);
            insert_segment(&mut tx, &known, listing.len, &listing.blobs, durable).await?;
        }
        if let Some(no) = insert_segment(&mut tx, segment, len, &contents.blobs, true).await? {
            insert_snapshots(&mut tx, no, &contents.snapshots).await?;
            insert_marks(&mut tx, no, &contents.marks).await?;
        }
        // It may have been there before, and what it lists be new.
        let no = sqlx::query_scalar("SELECT no FROM segments WHERE id = ?")
            .bind(&segment.id.0[..])
            .fetch_one(&mut *tx)
            .await?;
        mark_listed(&mut tx, (no, segment.class), &contents.listed()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Enters segments of a share, as durable: of their blobs only those that are shared.
    pub(crate) async fn enter_shared(
        &self,
        segments: &[(SegmentId, u64, Vec<IndexEntry>)],
    ) -> Result<(), IndexError> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        for (id, len, blobs) in segments {
            // Class and kind say nothing here: a share is read, and nothing else.
            let known = KnownSegment {
                id: *id,
                class: Class::Low,
                kind: SegmentKind::Data,
            };
            insert_segment(&mut tx, &known, *len, blobs, true).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Closes the file, so that it can be deleted.
    pub(crate) async fn close(self) {
        self.pool.close().await;
    }

    /// The first durable data segment numbered above `after` whose blobs no metadata segment
    /// lists: none of its own class, and none of `class` if that is lower. With its number.
    pub(crate) async fn unlisted(
        &self,
        class: Class,
        after: i64,
    ) -> Result<Option<(i64, Listing)>, IndexError> {
        let found = sqlx::query(
            "SELECT s.no, s.id, s.class, s.len FROM segments s \
             LEFT JOIN segments m ON m.no = s.listed_in \
             WHERE s.kind = 0 AND s.durable = 1 AND s.doomed = 0 AND s.no > ? \
             AND (m.no IS NULL OR m.doomed = 1 OR m.lost = 1 OR m.class < MIN(s.class, ?)) \
             ORDER BY s.no LIMIT 1",
        )
        .bind(after)
        .bind(class_number(class))
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = found else { return Ok(None) };
        let no = row.try_get(0)?;
        let rows = sqlx::query(
            "SELECT id, kind, offset, len, plain_len FROM blobs WHERE segment = ? ORDER BY offset",
        )
        .bind(no)
        .fetch_all(&self.pool)
        .await?;
        let listing = Listing {
            segment: SegmentId(id32(&row, 1)?),
            class: class_of(row.try_get(2)?)?,
            len: unsigned(&row, 3)?,
            blobs: rows.iter().map(blob).collect::<Result<_, _>>()?,
        };
        Ok(Some((no, listing)))
    }

    /// The segment is durable: its blobs and snapshots count from now on.
    pub(crate) async fn mark_durable(
        &self,
        id: SegmentId,
        bytes_stored: u64,
    ) -> Result<(), IndexError> {
        sqlx::query("UPDATE segments SET durable = 1, stored = ? WHERE id = ?")
            .bind(signed(bytes_stored))
            .bind(&id.0[..])
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Segments that were entered but are not known to be durable.
    pub(crate) async fn pending(&self) -> Result<Vec<SegmentId>, IndexError> {
        self.segment_ids("SELECT id FROM segments WHERE durable = 0 ORDER BY no")
            .await
    }

    /// Every segment that the index knows.
    pub(crate) async fn segments(&self) -> Result<HashSet<SegmentId>, IndexError> {
        let ids = self.segment_ids("SELECT id FROM segments").await?;
        Ok(ids.into_iter().collect())
    }

    async fn segment_ids(&self, sql: &'static str) -> Result<Vec<SegmentId>, IndexError> {
        let rows = sqlx::query(sql).fetch_all(&self.pool).await?;
        rows.iter().map(|r| Ok(SegmentId(id32(r, 0)?))).collect()
    }

    /// Forgets a segment that does not exist.
    pub(crate) async fn drop_segment(&self, id: SegmentId) -> Result<(), IndexError> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        for sql in [
            "UPDATE segments SET listed_in = NULL \
             WHERE listed_in = (SELECT no FROM segments WHERE id = ?)",
            "DELETE FROM blobs WHERE segment = (SELECT no FROM segments WHERE id = ?)",
            "DELETE FROM snapshots WHERE segment = (SELECT no FROM segments WHERE id = ?)",
            "DELETE FROM marks WHERE segment = (SELECT no FROM segments WHERE id = ?)",
            "DELETE FROM segments WHERE id = ?",
        ] {
            sqlx::query(sql).bind(&id.0[..]).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Snapshots that are durable, oldest first.
    pub(crate) async fn snapshots(&self) -> Result<Vec<(SnapshotId, Snapshot)>, IndexError> {
        let rows = sqlx::query(
            "SELECT n.id, n.body FROM snapshots n JOIN segments s ON s.no = n.segment \
             WHERE s.durable = 1 ORDER BY n.time, n.id",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let body: &[u8] = row.try_get(1)?;
                let snapshot = codec::decode(body).map_err(|_| IndexError::Damaged("snapshot"))?;
                Ok((BlobId(id32(row, 0)?), snapshot))
            })
            .collect()
    }

    /// Marks that are durable, whoever signed them.
    pub(crate) async fn marks(&self) -> Result<Vec<SignedMark>, IndexError> {
        let rows = sqlx::query(
            "SELECT m.body FROM marks m JOIN segments s ON s.no = m.segment WHERE s.durable = 1",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| codec::decode(row.try_get(0)?).map_err(|_| IndexError::Damaged("mark")))
            .collect()
    }

    pub(crate) async fn stats(&self) -> Result<Stats, IndexError> {
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM snapshots n JOIN segments s ON s.no = n.segment \
                     WHERE s.durable = 1), \
             (SELECT COUNT(*) FROM segments WHERE durable = 1), \
             (SELECT COUNT(*) FROM blobs), \
             (SELECT COALESCE(SUM(plain_len), 0) FROM blobs), \
             (SELECT COALESCE(SUM(len), 0) FROM segments WHERE durable = 1), \
             (SELECT COALESCE(SUM(stored), 0) FROM segments WHERE durable = 1)",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Stats {
            snapshots: unsigned(&row, 0)?,
            segments: unsigned(&row, 1)?,
            blobs: unsigned(&row, 2)?,
            bytes: unsigned(&row, 3)?,
            bytes_sealed: unsigned(&row, 4)?,
            bytes_stored: unsigned(&row, 5)?,
        })
    }
}

/// The new segment's number; `None` if the index knows it already.
async fn insert_segment(
    tx: &mut SqliteConnection,
    segment: &KnownSegment,
    len: u64,
    blobs: &[IndexEntry],
    durable: bool,
) -> Result<Option<i64>, IndexError> {
    let no: Option<i64> = sqlx::query_scalar(
        "INSERT OR IGNORE INTO segments (id, class, kind, len, durable) VALUES (?, ?, ?, ?, ?) \
         RETURNING no",
    )
    .bind(&segment.id.0[..])
    .bind(class_number(segment.class))
    .bind(kind_number(segment.kind))
    .bind(signed(len))
    .bind(durable)
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(no) = no {
        for rows in blobs.chunks(ROWS) {
            insert_blobs(tx, no, rows).await?;
        }
    }
    Ok(no)
}

async fn insert_snapshots(
    tx: &mut SqliteConnection,
    segment: i64,
    snapshots: &[(SnapshotId, Snapshot)],
) -> Result<(), IndexError> {
    for (id, snapshot) in snapshots {
        sqlx::query("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?)")
            .bind(&id.0[..])
            .bind(segment)
            .bind(signed(snapshot.time.0))
            .bind(codec::encode(snapshot))
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

async fn insert_marks(
    tx: &mut SqliteConnection,
    segment: i64,
    marks: &[SignedMark],
) -> Result<(), IndexError> {
    for signed in marks {
        sqlx::query("INSERT OR IGNORE INTO marks VALUES (?, ?, ?, ?, ?)")
            .bind(&signed.mark.snapshot.0[..])
            .bind(self::signed(signed.mark.no))
            .bind(&signed.sig.0[..])
            .bind(segment)
            .bind(codec::encode(signed))
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// The metadata segment of this number and class lists `ids`. A listing in a higher class stands.
async fn mark_listed(
    tx: &mut SqliteConnection,
    (no, class): (i64, Class),
    ids: &[SegmentId],
) -> Result<(), IndexError> {
    for ids in ids.chunks(ROWS) {
        let mut query = QueryBuilder::<Sqlite>::new("UPDATE segments SET listed_in = ");
        query.push_bind(no).push(
            " WHERE NOT EXISTS (SELECT 1 FROM segments m WHERE m.no = segments.listed_in \
             AND m.class > ",
        );
        query.push_bind(class_number(class)).push(") AND id IN (");
        let mut list = query.separated(", ");
        for id in ids {
            list.push_bind(id.0.to_vec());
        }
        list.push_unseparated(")");
        query.build().execute(&mut *tx).await?;
    }
    Ok(())
}

async fn insert_blobs(
    tx: &mut SqliteConnection,
    segment: i64,
    blobs: &[IndexEntry],
) -> Result<(), IndexError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT OR IGNORE INTO blobs (id, segment, offset, len, plain_len, kind) ",
    );
    query.push_values(blobs, |mut row, blob| {
        row.push_bind(blob.id.0.to_vec())
            .push_bind(segment)
            .push_bind(i64::from(blob.offset))
            .push_bind(i64::from(blob.len))
            .push_bind(i64::from(blob.plain_len))
            .push_bind(i64::from(blob.kind.byte()));
    });
    query.build().execute(tx).await?;
    Ok(())
}

fn bind_ids(query: &mut QueryBuilder<Sqlite>, ids: &[BlobId]) {
    let mut list = query.separated(", ");
    for id in ids {
        list.push_bind(id.0.to_vec());
    }
    list.push_unseparated(")");
}

/// A class's rank: higher is better.
fn class_number(class: Class) -> i64 {
    match class {
        Class::Low => 0,
        Class::Normal => 1,
        Class::High => 2,
        Class::Critical => 3,
    }
}

fn class_of(number: i64) -> Result<Class, IndexError> {
    let found = Class::ALL.into_iter().find(|c| class_number(*c) == number);
    found.ok_or(IndexError::Damaged("class"))
}

fn kind_number(kind: SegmentKind) -> i64 {
    match kind {
        SegmentKind::Data => 0,
        SegmentKind::Meta => 1,
        SegmentKind::Catalogue => 2,
    }
}

/// A row of id, kind, offset, length and plaintext's length.
fn blob(row: &SqliteRow) -> Result<IndexEntry, IndexError> {
    let small = |column: usize| -> Result<u32, IndexError> {
        u32::try_from(row.try_get::<i64, _>(column)?).map_err(|_| IndexError::Damaged("number"))
    };
    let kind = u8::try_from(small(1)?).ok().and_then(BlobKind::from_byte);
    Ok(IndexEntry {
        id: BlobId(id32(row, 0)?),
        kind: kind.ok_or(IndexError::Damaged("kind"))?,
        offset: small(2)?,
        len: small(3)?,
        plain_len: small(4)?,
    })
}

fn id32(row: &SqliteRow, column: usize) -> Result<[u8; 32], IndexError> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|_| IndexError::Damaged("id"))
}

fn unsigned(row: &SqliteRow, column: usize) -> Result<u64, IndexError> {
    let n: i64 = row.try_get(column)?;
    u64::try_from(n).map_err(|_| IndexError::Damaged("number"))
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
