//! A shard on its way to one of the volumes: where it lies is noted once it rests there.

use super::Volumes;
use crate::shards::{ShardWriter, StoreError};
use larder_engine::VolumeId;
use larder_types::ShardRoot;

/// A shard being written to one of the volumes.
#[derive(Debug)]
pub struct Placing {
    pub(super) volumes: Volumes,
    pub(super) volume: VolumeId,
    pub(super) root: ShardRoot,
    pub(super) writer: ShardWriter,
}

impl Placing {
    /// Writes the shard's next bytes.
    ///
    /// # Errors
    /// As [`ShardWriter::write`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.writer.write(bytes)
    }

    /// Compares what came with what was promised and makes it durable; where it lies now.
    ///
    /// # Errors
    /// As [`ShardWriter::finish`]; nothing is kept.
    pub fn finish(self) -> Result<VolumeId, StoreError> {
        self.writer.finish()?;
        self.volumes.moved(self.root, self.volume);
        Ok(self.volume)
    }

    /// The same for a copy: the shard goes on lying where it lay, too.
    ///
    /// # Errors
    /// As [`ShardWriter::finish`]; nothing is kept.
    pub fn finish_copy(self) -> Result<VolumeId, StoreError> {
        self.writer.finish()?;
        Ok(self.volume)
    }
}
