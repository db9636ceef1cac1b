//! A restore's plan: every entry and every piece in a temporary SQLite file, so that memory does
//! not grow with the snapshot, and pieces can be had in the order in which they lie in segments.

use crate::content::Piece;
use crate::entry::{Entry, Kind, Meta};
use crate::index::{IndexError, Place};
use larder_types::BlobId;
use rustix::fs::{FlockOperation, flock};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous,
};
use sqlx::{ConnectOptions, QueryBuilder, Row, Sqlite};
use std::fs::File;
use std::path::Path;
use tempfile::TempDir;

/// Rows per statement.
pub(crate) const ROWS: usize = 1_000;

const SCHEMA: &str = "
CREATE TABLE entries (
    no INTEGER PRIMARY KEY, path BLOB NOT NULL, kind INTEGER NOT NULL, mode INTEGER NOT NULL,
    uid INTEGER NOT NULL, gid INTEGER NOT NULL, mtime_s INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    size INTEGER NOT NULL, dev INTEGER, ino INTEGER, target BLOB, first INTEGER, problem TEXT);
CREATE TABLE pieces (
    segment INTEGER NOT NULL, offset INTEGER NOT NULL, len INTEGER NOT NULL, id BLOB NOT NULL,
    plain_len INTEGER NOT NULL, file INTEGER NOT NULL, at INTEGER NOT NULL);
";

/// Run once everything is entered: which names are one file, and who is first of it.
const LINK: &str = "
CREATE INDEX inodes ON entries (dev, ino) WHERE ino IS NOT NULL AND kind = 0;
UPDATE entries SET first = (SELECT MIN(f.no) FROM entries f
    WHERE f.dev = entries.dev AND f.ino = entries.ino AND f.ino IS NOT NULL AND f.kind = 0)
    WHERE ino IS NOT NULL AND kind = 0;
UPDATE entries SET first = NULL WHERE first = no;
DELETE FROM pieces WHERE file IN (SELECT no FROM entries WHERE first IS NOT NULL);
CREATE INDEX by_place ON pieces (segment, offset);
CREATE INDEX by_file ON pieces (file);
";

/// What is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Make {
    File,
    Dir,
    Symlink,
    Fifo,
    CharDevice,
    BlockDevice,
}

impl Make {
    const ALL: [Self; 6] = [
        Self::File,
        Self::Dir,
        Self::Symlink,
        Self::Fifo,
        Self::CharDevice,
        Self::BlockDevice,
    ];

    fn number(self) -> i64 {
        match self {
            Self::File => 0,
            Self::Dir => 1,
            Self::Symlink => 2,
            Self::Fifo => 3,
            Self::CharDevice => 4,
            Self::BlockDevice => 5,
        }
    }
}

/// An entry in the plan.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) no: i64,
    /// Relative to the target.
    pub(crate) path: Vec<u8>,
    pub(crate) make: Make,
    pub(crate) meta: Meta,
    /// Bytes of a file, or a device's number.
    pub(crate) size: u64,
    pub(crate) target: Vec<u8>,
    inode: Option<(u64, u64)>,
    pub(crate) problem: Option<String>,
}

/// A piece in the plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlannedPiece {
    /// Unique, and rising with the order of entering.
    pub(crate) row: i64,
    pub(crate) place: Place,
    pub(crate) piece: Piece,
    pub(crate) file: i64,
    pub(crate) at: u64,
}

impl Planned {
    pub(crate) fn of(no: i64, path: Vec<u8>, entry: &Entry) -> Self {
        let (make, size, target) = match &entry.kind {
            Kind::File(_) => (Make::File, entry.size, Vec::new()),
            Kind::Dir(_) => (Make::Dir, 0, Vec::new()),
            Kind::Symlink(target) => (Make::Symlink, 0, target.clone()),
            Kind::Fifo => (Make::Fifo, 0, Vec::new()),
            Kind::CharDevice(dev) => (Make::CharDevice, *dev, Vec::new()),
            Kind::BlockDevice(dev) => (Make::BlockDevice, *dev, Vec::new()),
        };
        Self {
            no,
            path,
            make,
            meta: entry.meta,
            size,
            target,
            inode: entry.inode,
            problem: None,
        }
    }
}

/// The plan's file. It lies in a locked scratch folder that goes when this goes.
#[derive(Debug)]
pub(crate) struct Plan {
    db: SqliteConnection,
    _locked: File,
    _dir: TempDir,
}

impl Plan {
    pub(crate) async fn create(tmp: &Path) -> Result<Self, IndexError> {
        let dir = tempfile::Builder::new()
            .prefix("restore-")
            .tempdir_in(tmp)
            .map_err(sqlx::Error::Io)?;
        let locked = File::open(dir.path()).map_err(sqlx::Error::Io)?;
        flock(&locked, FlockOperation::NonBlockingLockShared)
            .map_err(|e| sqlx::Error::Io(e.into()))?;
        let mut db = SqliteConnectOptions::new()
            .filename(dir.path().join("plan.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Off)
            .synchronous(SqliteSynchronous::Off)
            .connect()
            .await?;
        sqlx::raw_sql(SCHEMA).execute(&mut db).await?;
        Ok(Self {
            db,
            _locked: locked,
            _dir: dir,
        })
    }

    pub(crate) async fn enter(
        &mut self,
        entries: &[Planned],
        pieces: &[PlannedPiece],
    ) -> Result<(), IndexError> {
        for rows in entries.chunks(ROWS) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "INSERT INTO entries (no, path, kind, mode, uid, gid, mtime_s, mtime_ns, size, \
                 dev, ino, target, problem) ",
            );
            query.push_values(rows, |mut row, e| {
                row.push_bind(e.no)
                    .push_bind(e.path.clone())
                    .push_bind(e.make.number())
                    .push_bind(i64::from(e.meta.mode))
                    .push_bind(i64::from(e.meta.uid))
                    .push_bind(i64::from(e.meta.gid))
                    .push_bind(e.meta.mtime_s)
                    .push_bind(i64::from(e.meta.mtime_ns))
                    .push_bind(e.size.cast_signed())
                    .push_bind(e.inode.map(|(dev, _)| dev.cast_signed()))
                    .push_bind(e.inode.map(|(_, ino)| ino.cast_signed()))
                    .push_bind(e.target.clone())
                    .push_bind(e.problem.clone());
            });
            query.build().execute(&mut self.db).await?;
        }
        for rows in pieces.chunks(ROWS) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "INSERT INTO pieces (segment, offset, len, id, plain_len, file, at) ",
            );
            query.push_values(rows, |mut row, p| {
                row.push_bind(p.place.segment)
                    .push_bind(p.place.offset.cast_signed())
                    .push_bind(p.place.len.cast_signed())
                    .push_bind(p.piece.id.0.to_vec())
                    .push_bind(i64::from(p.piece.len))
                    .push_bind(p.file)
                    .push_bind(p.at.cast_signed());
            });
            query.build().execute(&mut self.db).await?;
        }
        Ok(())
    }

    /// Everything is entered: finds the files with several names, and sorts the pieces.
    pub(crate) async fn seal(&mut self) -> Result<(), IndexError> {
        sqlx::raw_sql(LINK).execute(&mut self.db).await?;
        Ok(())
    }

    /// Files and bytes to write.
    pub(crate) async fn totals(&mut self) -> Result<(u64, u64), IndexError> {
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM entries WHERE kind = 0), \
             (SELECT COALESCE(SUM(plain_len), 0) FROM pieces)",
        )
        .fetch_one(&mut self.db)
        .await?;
        Ok((unsigned(&row, 0)?, unsigned(&row, 1)?))
    }

    /// Entries after `no` without a problem and without an earlier name, upwards.
    pub(crate) async fn entries_after(&mut self, no: i64) -> Result<Vec<Planned>, IndexError> {
        self.entries(
            "SELECT * FROM entries WHERE no > ? AND first IS NULL ORDER BY no LIMIT 1000",
            no,
        )
        .await
    }

    /// Entries before `no`, downwards: what lies in a directory comes before it.
    pub(crate) async fn entries_before(&mut self, no: i64) -> Result<Vec<Planned>, IndexError> {
        self.entries(
            "SELECT * FROM entries WHERE no < ? AND first IS NULL ORDER BY no DESC LIMIT 1000",
            no,
        )
        .await
    }

    async fn entries(&mut self, sql: &'static str, no: i64) -> Result<Vec<Planned>, IndexError> {
        let rows = sqlx::query(sql).bind(no).fetch_all(&mut self.db).await?;
        rows.iter().map(planned).collect()
    }

    /// Second names after `no`: (number, the first name's path, the path).
    pub(crate) async fn links_after(
        &mut self,
        no: i64,
    ) -> Result<Vec<(i64, Vec<u8>, Vec<u8>)>, IndexError> {
        let rows = sqlx::query(
            "SELECT e.no, f.path, e.path FROM entries e JOIN entries f ON f.no = e.first \
             WHERE e.no > ? ORDER BY e.no LIMIT 1000",
        )
        .bind(no)
        .fetch_all(&mut self.db)
        .await?;
        rows.iter()
            .map(|r| Ok((r.try_get(0)?, r.try_get(1)?, r.try_get(2)?)))
            .collect()
    }

    /// The segments that are needed.
    pub(crate) async fn segments(&mut self) -> Result<Vec<i64>, IndexError> {
        Ok(
            sqlx::query_scalar("SELECT DISTINCT segment FROM pieces ORDER BY segment")
                .fetch_all(&mut self.db)
                .await?,
        )
    }

    /// Pieces of a segment in their order, after (offset, row), each with its file's path.
    pub(crate) async fn pieces_after(
        &mut self,
        segment: i64,
        after: (i64, i64),
    ) -> Result<Vec<(PlannedPiece, Vec<u8>)>, IndexError> {
        let rows = sqlx::query(
            "SELECT p.rowid, p.segment, p.offset, p.len, p.id, p.plain_len, p.file, p.at, e.path \
             FROM pieces p JOIN entries e ON e.no = p.file \
             WHERE p.segment = ? AND (p.offset, p.rowid) > (?, ?) \
             ORDER BY p.offset, p.rowid LIMIT 1000",
        )
        .bind(segment)
        .bind(after.0)
        .bind(after.1)
        .fetch_all(&mut self.db)
        .await?;
        rows.iter().map(piece).collect()
    }

    /// Pieces by their files, after (file, row): to compare what was written.
    pub(crate) async fn pieces_by_file(
        &mut self,
        after: (i64, i64),
    ) -> Result<Vec<(PlannedPiece, Vec<u8>)>, IndexError> {
        let rows = sqlx::query(
            "SELECT p.rowid, p.segment, p.offset, p.len, p.id, p.plain_len, p.file, p.at, e.path \
             FROM pieces p JOIN entries e ON e.no = p.file \
             WHERE (p.file, p.rowid) > (?, ?) AND e.problem IS NULL \
             ORDER BY p.file, p.rowid LIMIT 1000",
        )
        .bind(after.0)
        .bind(after.1)
        .fetch_all(&mut self.db)
        .await?;
        rows.iter().map(piece).collect()
    }

    /// These entries are incomplete; the first reason stands.
    pub(crate) async fn spoil(&mut self, problems: &[(i64, String)]) -> Result<(), IndexError> {
        for (no, problem) in problems {
            sqlx::query("UPDATE entries SET problem = ? WHERE no = ? AND problem IS NULL")
                .bind(problem)
                .bind(no)
                .execute(&mut self.db)
                .await?;
        }
        Ok(())
    }

    /// Every file with a piece in `segment` is incomplete.
    pub(crate) async fn spoil_segment(
        &mut self,
        segment: i64,
        problem: &str,
    ) -> Result<(), IndexError> {
        sqlx::query(
            "UPDATE entries SET problem = ? WHERE problem IS NULL \
             AND no IN (SELECT file FROM pieces WHERE segment = ?)",
        )
        .bind(problem)
        .bind(segment)
        .execute(&mut self.db)
        .await?;
        Ok(())
    }

    /// A file's other names share its problem.
    pub(crate) async fn spoil_links(&mut self) -> Result<(), IndexError> {
        sqlx::query(
            "UPDATE entries SET problem = (SELECT f.problem FROM entries f \
             WHERE f.no = entries.first) WHERE first IS NOT NULL AND problem IS NULL",
        )
        .execute(&mut self.db)
        .await?;
        Ok(())
    }

    /// How many are incomplete, and the first of them: path and reason.
    pub(crate) async fn spoilt(&mut self) -> Result<(u64, Vec<(Vec<u8>, String)>), IndexError> {
        let count = sqlx::query("SELECT COUNT(*) FROM entries WHERE problem IS NOT NULL")
            .fetch_one(&mut self.db)
            .await?;
        let rows = sqlx::query(
            "SELECT path, problem FROM entries WHERE problem IS NOT NULL ORDER BY no LIMIT 1000",
        )
        .fetch_all(&mut self.db)
        .await?;
        let named = rows
            .iter()
            .map(|r| Ok((r.try_get(0)?, r.try_get(1)?)))
            .collect::<Result<_, sqlx::Error>>()?;
        Ok((unsigned(&count, 0)?, named))
    }

    /// What was made whole: files, their bytes, directories.
    pub(crate) async fn made(&mut self) -> Result<(u64, u64, u64), IndexError> {
        let row = sqlx::query(
            "SELECT COALESCE(SUM(kind = 0), 0), \
             COALESCE(SUM(CASE WHEN kind = 0 THEN size ELSE 0 END), 0), \
             COALESCE(SUM(kind = 1), 0) FROM entries WHERE problem IS NULL",
        )
        .fetch_one(&mut self.db)
        .await?;
        Ok((unsigned(&row, 0)?, unsigned(&row, 1)?, unsigned(&row, 2)?))
    }
}

fn planned(row: &SqliteRow) -> Result<Planned, IndexError> {
    let number: i64 = row.try_get("kind")?;
    let make = Make::ALL
        .into_iter()
        .find(|m| m.number() == number)
        .ok_or(IndexError::Damaged("kind"))?;
    let small = |name: &'static str| -> Result<u32, IndexError> {
        u32::try_from(row.try_get::<i64, _>(name)?).map_err(|_| IndexError::Damaged(name))
    };
    Ok(Planned {
        no: row.try_get("no")?,
        path: row.try_get("path")?,
        make,
        meta: Meta {
            mode: small("mode")?,
            uid: small("uid")?,
            gid: small("gid")?,
            mtime_s: row.try_get("mtime_s")?,
            mtime_ns: small("mtime_ns")?,
        },
        size: row.try_get::<i64, _>("size")?.cast_unsigned(),
        target: row.try_get("target")?,
        inode: None,
        problem: row.try_get("problem")?,
    })
}

fn piece(row: &SqliteRow) -> Result<(PlannedPiece, Vec<u8>), IndexError> {
    let id: &[u8] = row.try_get(4)?;
    let len = u32::try_from(row.try_get::<i64, _>(5)?);
    let piece = PlannedPiece {
        row: row.try_get(0)?,
        place: Place {
            segment: row.try_get(1)?,
            offset: unsigned(row, 2)?,
            len: unsigned(row, 3)?,
        },
        piece: Piece {
            id: BlobId(id.try_into().map_err(|_| IndexError::Damaged("id"))?),
            len: len.map_err(|_| IndexError::Damaged("length"))?,
        },
        file: row.try_get(6)?,
        at: unsigned(row, 7)?,
    };
    Ok((piece, row.try_get(8)?))
}

fn unsigned(row: &SqliteRow, column: usize) -> Result<u64, IndexError> {
    let n: i64 = row.try_get(column)?;
    u64::try_from(n).map_err(|_| IndexError::Damaged("number"))
}
