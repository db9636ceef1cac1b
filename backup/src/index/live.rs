//! What is needed: the blobs that snapshots reach, and how much of each segment they are. The set lies in a
//! table of a connection of its own, so that memory is bounded, and goes with it.
//!
//! A blob in several segments is needed in one: that is not lost; of these of the highest class; of these in one that is to stay; of
//! these in the newest.

use super::{Index, IndexError, ROWS, blob, class_of, id32, unsigned};
use crate::segments::SegmentKind;
use larder_coding::{BlobKind, IndexEntry};
use larder_types::{BlobId, Class, SegmentId};
use sqlx::{Connection as _, QueryBuilder, Row, Sqlite, SqliteConnection};
use std::collections::BTreeSet;

/// That the blob `b` of segment `s` is needed there, and nowhere else.
const NEEDED: &str = "b.id IN (SELECT id FROM temp.live) AND NOT EXISTS (\
    SELECT 1 FROM blobs o JOIN segments t ON t.no = o.segment \
    WHERE o.id = b.id AND t.durable = 1 AND t.no != s.no AND (t.lost < s.lost \
    OR t.lost = s.lost AND (t.class > s.class \
    OR t.class = s.class AND (t.doomed < s.doomed OR t.doomed = s.doomed AND t.no > s.no))))";

/// That bytes of it are no waste: it is needed, or marks, or says what lies in segments that stay. (8 and 6
/// are [`BlobKind::Marks`] and [`BlobKind::Listing`].)
const USED: &str = "b.kind = 8 OR b.kind = 6 AND EXISTS (SELECT 1 FROM segments d \
    WHERE d.listed_in = s.no AND d.durable = 1 AND d.doomed = 0) OR ";

/// How much of a durable segment is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) no: i64,
    pub(crate) class: Class,
    /// Bytes of its blobs.
    pub(crate) len: u64,
    /// Those of them that are needed, marks, and listings of what stays.
    pub(crate) live: u64,
    /// Bytes with providers, redundancy included, as far as it was told.
    pub(crate) stored: u64,
    /// Whether it is to go.
    pub(crate) doomed: bool,
    /// Whether it holds marks: then it stays.
    pub(crate) marks: bool,
    /// Whether nobody can give it back: what is needed of it cannot be moved.
    pub(crate) lost: bool,
}

/// Blobs that are needed.
#[derive(Debug)]
pub(crate) struct Live {
    db: SqliteConnection,
}

impl Index {
    /// None yet.
    pub(crate) async fn live(&self) -> Result<Live, IndexError> {
        let mut db = self.pool.acquire().await?.detach();
        sqlx::raw_sql("CREATE TEMP TABLE live (id BLOB PRIMARY KEY) WITHOUT ROWID")
            .execute(&mut db)
            .await?;
        Ok(Live { db })
    }

    /// Segments that are to go, and that this device dooms.
    pub(crate) async fn doomed(&self) -> Result<BTreeSet<SegmentId>, IndexError> {
        let ids = "SELECT id FROM segments WHERE doomed = 1 AND durable = 1";
        Ok(self.segment_ids(ids).await?.into_iter().collect())
    }

    /// Of the segments whose ids begin like these another device of the account is about to let go:
    /// nothing is deduplicated against them from now on.
    pub(crate) async fn doom_others(&self, begin: &BTreeSet<[u8; 8]>) -> Result<(), IndexError> {
        let mut tx = self.pool.begin().await?;
        for begin in begin {
            sqlx::query("UPDATE segments SET doomed = 2 WHERE doomed = 0 AND substr(id, 1, 8) = ?")
                .bind(begin.to_vec())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// The numbers of these segments.
    pub(crate) async fn numbers(
        &self,
        ids: &BTreeSet<SegmentId>,
    ) -> Result<BTreeSet<i64>, IndexError> {
        let rows = sqlx::query("SELECT no, id FROM segments")
            .fetch_all(&self.pool)
            .await?;
        let mut numbers = BTreeSet::new();
        for row in &rows {
            if ids.contains(&SegmentId(id32(row, 1)?)) {
                numbers.insert(row.try_get(0)?);
            }
        }
        Ok(numbers)
    }

    /// These are to go: nothing is deduplicated against them from now on.
    pub(crate) async fn doom(&self, segments: &[i64]) -> Result<(), IndexError> {
        for nos in segments.chunks(ROWS) {
            let mut query =
                QueryBuilder::<Sqlite>::new("UPDATE segments SET doomed = 1 WHERE no IN (");
            let mut list = query.separated(", ");
            for no in nos {
                list.push_bind(*no);
            }
            list.push_unseparated(")");
            query.build().execute(&self.pool).await?;
        }
        Ok(())
    }
}

impl Index {
    /// These are lost, or are not after all: nothing is deduplicated against what is.
    pub(crate) async fn set_lost(&self, ids: &[SegmentId], lost: bool) -> Result<(), IndexError> {
        for ids in ids.chunks(ROWS) {
            let mut query = QueryBuilder::<Sqlite>::new("UPDATE segments SET lost = ");
            query
                .push_bind(lost)
                .push(" WHERE lost != ")
                .push_bind(lost);
            query.push(" AND id IN (");
            let mut list = query.separated(", ");
            for id in ids {
                list.push_bind(id.0.to_vec());
            }
            list.push_unseparated(")");
            query.build().execute(&self.pool).await?;
        }
        Ok(())
    }
}

impl Live {
    /// These are needed.
    pub(crate) async fn add(&mut self, ids: &[BlobId]) -> Result<(), IndexError> {
        let mut tx = self.db.begin().await?;
        for ids in ids.chunks(ROWS) {
            let mut query = QueryBuilder::<Sqlite>::new("INSERT OR IGNORE INTO temp.live (id) ");
            query.push_values(ids, |mut row, id| {
                row.push_bind(id.0.to_vec());
            });
            query.build().execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// How much of each durable segment of a kind is needed.
    pub(crate) async fn uses(&mut self, kind: SegmentKind) -> Result<Vec<Use>, IndexError> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT s.no, s.class, s.stored, s.doomed = 1, \
             (SELECT COALESCE(SUM(b.len), 0) FROM blobs b WHERE b.segment = s.no), \
             (SELECT COALESCE(SUM(b.len), 0) FROM blobs b WHERE b.segment = s.no AND (",
        );
        query.push(USED).push(NEEDED).push(
            ")), EXISTS (SELECT 1 FROM marks k WHERE k.segment = s.no), s.lost FROM segments s WHERE s.durable = 1 AND s.kind = ",
        );
        query
            .push_bind(super::kind_number(kind))
            .push(" ORDER BY s.no");
        let rows = query.build().fetch_all(&mut self.db).await?;
        rows.iter()
            .map(|row| {
                Ok(Use {
                    no: row.try_get(0)?,
                    class: class_of(row.try_get(1)?)?,
                    stored: unsigned(row, 2)?,
                    doomed: row.try_get(3)?,
                    len: unsigned(row, 4)?,
                    live: unsigned(row, 5)?,
                    marks: row.try_get(6)?,
                    lost: row.try_get(7)?,
                })
            })
            .collect()
    }

    /// The blobs that are needed in a segment, in their order; without listings, which are made anew.
    pub(crate) async fn needed_in(&mut self, no: i64) -> Result<Vec<IndexEntry>, IndexError> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT b.id, b.kind, b.offset, b.len, b.plain_len FROM blobs b \
             JOIN segments s ON s.no = b.segment WHERE s.no = ",
        );
        query.push_bind(no).push(" AND b.kind != ");
        query.push_bind(i64::from(BlobKind::Listing.byte()));
        query.push(" AND ").push(NEEDED).push(" ORDER BY b.offset");
        let rows = query.build().fetch_all(&mut self.db).await?;
        rows.iter().map(blob).collect()
    }

    /// Blobs that are needed and lie in durable segments, but in none that is to stay and is as good as
    /// the best of those that go: the first of them.
    pub(crate) async fn uncovered(&mut self) -> Result<Option<BlobId>, IndexError> {
        let row = sqlx::query(
            "SELECT l.id FROM temp.live l WHERE EXISTS (\
             SELECT 1 FROM blobs b JOIN segments s ON s.no = b.segment \
             WHERE b.id = l.id AND s.durable = 1) AND NOT EXISTS (\
             SELECT 1 FROM blobs b JOIN segments s ON s.no = b.segment \
             WHERE b.id = l.id AND s.durable = 1 AND s.doomed != 1 AND s.lost <= (\
             SELECT MIN(t.lost) FROM blobs o JOIN segments t ON t.no = o.segment \
             WHERE o.id = l.id AND t.durable = 1)) LIMIT 1",
        )
        .fetch_optional(&mut self.db)
        .await?;
        row.map(|row| Ok(BlobId(id32(&row, 0)?))).transpose()
    }
}
