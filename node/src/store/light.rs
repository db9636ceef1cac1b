//! What light clients ask of the database: one block, the validators of a height, the blocks at which they
//! changed.

use super::{Store, StoreError, signed, unsigned};
use larder_ledger::Certified;
use larder_proofs::ValidatorSet;
use larder_types::{BlockHash, codec};
use sqlx::{Row as _, Sqlite, Transaction};

/// A block after which other validators make blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The block, certified by those before.
    pub certified: Certified,
    /// Those after it.
    pub validators: ValidatorSet,
}

/// Notes a block's hash, and the validators after it if they are others.
pub(super) async fn note(
    tx: &mut Transaction<'_, Sqlite>,
    certified: &Certified,
    validators: Option<&ValidatorSet>,
) -> Result<(), StoreError> {
    let height = signed(certified.block.header.height);
    sqlx::query("INSERT INTO block_hashes (hash, height) VALUES (?, ?)")
        .bind(certified.block.hash().0.to_vec())
        .bind(height)
        .execute(&mut **tx)
        .await?;
    if let Some(validators) = validators {
        sqlx::query("INSERT INTO validator_sets (height, validators) VALUES (?, ?)")
            .bind(height)
            .bind(codec::encode(validators))
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

impl Store {
    /// The block at a height, if it is here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn certified(&self, height: u64) -> Result<Option<Certified>, StoreError> {
        let row = sqlx::query("SELECT bytes FROM blocks WHERE height = ?")
            .bind(signed(height))
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| read(row.try_get(0)?, "blocks")).transpose()
    }

    /// The height of the block with this hash, if it is here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn height_of(&self, hash: &BlockHash) -> Result<Option<u64>, StoreError> {
        let row = sqlx::query("SELECT height FROM block_hashes WHERE hash = ?")
            .bind(hash.0.to_vec())
            .fetch_optional(&self.readers)
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.map(unsigned))
    }

    /// The validators whose certificate makes the block at a height final; nothing if they are still those
    /// of the genesis.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn validators(&self, height: u64) -> Result<Option<ValidatorSet>, StoreError> {
        let row = sqlx::query(
            "SELECT validators FROM validator_sets WHERE height < ? ORDER BY height DESC LIMIT 1",
        )
        .bind(signed(height))
        .fetch_optional(&self.readers)
        .await?;
        row.map(|row| read(row.try_get(0)?, "validator_sets"))
            .transpose()
    }

    /// The blocks from a height on at which the validators changed, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn changes(&self, from: u64, limit: u32) -> Result<Vec<Change>, StoreError> {
        let rows = sqlx::query(
            "SELECT bytes, validators FROM validator_sets JOIN blocks USING (height) \
             WHERE height >= ? ORDER BY height LIMIT ?",
        )
        .bind(signed(from))
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Change {
                    certified: read(row.try_get(0)?, "blocks")?,
                    validators: read(row.try_get(1)?, "validator_sets")?,
                })
            })
            .collect()
    }
}

fn read<T: serde::Serialize + serde::de::DeserializeOwned>(
    bytes: Vec<u8>,
    table: &'static str,
) -> Result<T, StoreError> {
    codec::decode(&bytes).map_err(|_| StoreError::Damaged(table))
}
