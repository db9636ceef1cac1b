//! What was shared, with others and by them: one row a share. A received share stays sealed; its keys
//! never rest in the database.

use super::{Store, StoreError, signed};
use larder_keys::SharingCert;
use larder_types::{AccountId, ContractId, SegmentId, Time, codec};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;

/// A share's id.
pub type ShareId = [u8; 16];

/// Something that was shared with somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenShare {
    /// What it is called.
    pub name: String,
    /// With whom.
    pub to: SharingCert,
    /// The snapshot's id.
    pub snapshot: String,
    /// The path in it.
    pub path: String,
    /// When it was made first.
    pub created: Time,
    /// When it ends.
    pub expiry: Time,
    /// When it was taken back.
    pub revoked: Option<Time>,
    /// Files in it.
    pub files: u64,
    /// Folders in it.
    pub dirs: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Its segments, and under which contract each position lay when its file was written last.
    pub segments: Vec<(SegmentId, Vec<(u16, ContractId)>)>,
    /// Every contract under which any of its files lets anything be read.
    pub contracts: Vec<ContractId>,
}

/// Something that somebody shared with this home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakenShare {
    /// What its owner calls it.
    pub name: String,
    /// Whose it is.
    pub from: AccountId,
    /// When its file was written.
    pub created: Time,
    /// When it ends.
    pub expiry: Time,
    /// When it was opened here first.
    pub received: Time,
    /// Files in it.
    pub files: u64,
    /// Folders in it.
    pub dirs: u64,
    /// Bytes of its files.
    pub bytes: u64,
}

impl Store {
    /// What was shared with others, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn shares(&self) -> Result<Vec<(ShareId, GivenShare)>, StoreError> {
        let rows = sqlx::query("SELECT id, body FROM shares ORDER BY created, id")
            .fetch_all(&self.readers)
            .await?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            let body: &[u8] = row.try_get(1)?;
            let share = codec::decode(body).map_err(|_| StoreError::Damaged("shares"))?;
            Ok((id(row.try_get(0)?, "shares")?, share))
        };
        rows.iter().map(read).collect()
    }

    /// Keeps what was shared with somebody.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_share(&self, id: &ShareId, share: &GivenShare) -> Result<(), StoreError> {
        sqlx::query("INSERT OR REPLACE INTO shares (id, created, body) VALUES (?, ?, ?)")
            .bind(&id[..])
            .bind(signed(share.created.0))
            .bind(codec::encode(share))
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Forgets what was shared with somebody.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drop_share(&self, id: &ShareId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM shares WHERE id = ?")
            .bind(&id[..])
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Forgets what somebody shared with this home.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drop_received(&self, id: &ShareId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM received WHERE id = ?")
            .bind(&id[..])
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// What others shared with this home, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn received(&self) -> Result<Vec<(ShareId, TakenShare)>, StoreError> {
        let rows = sqlx::query("SELECT id, body FROM received ORDER BY received, id")
            .fetch_all(&self.readers)
            .await?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            let body: &[u8] = row.try_get(1)?;
            let share = codec::decode(body).map_err(|_| StoreError::Damaged("received"))?;
            Ok((id(row.try_get(0)?, "received")?, share))
        };
        rows.iter().map(read).collect()
    }

    /// The file of a received share, as it came.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sealed_share(&self, id: &ShareId) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT sealed FROM received WHERE id = ?")
            .bind(&id[..])
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| Ok(row.try_get(0)?)).transpose()
    }

    /// Keeps what somebody shared with this home, with its file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_received(
        &self,
        id: &ShareId,
        share: &TakenShare,
        sealed: &[u8],
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT OR REPLACE INTO received (id, received, body, sealed) VALUES (?, ?, ?, ?)",
        )
        .bind(&id[..])
        .bind(signed(share.received.0))
        .bind(codec::encode(share))
        .bind(sealed)
        .execute(&self.writer)
        .await?;
        Ok(())
    }
}

fn id(bytes: &[u8], table: &'static str) -> Result<ShareId, StoreError> {
    bytes.try_into().map_err(|_| StoreError::Damaged(table))
}
