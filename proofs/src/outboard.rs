//! What a provider keeps of a shard's BLAKE3 tree: the CVs of its 16-KiB groups, 0.2 % of its
//! bytes. Everything above follows by merging (0.3 ms for 64 MiB), everything below from one
//! group's bytes. `docs/protocol.md` §3.2.

use crate::chunk::{Cv, GROUP_CHUNKS, cv_of, root_of_groups};
use crate::layout_reader::{Reader, serde_as_bytes};
use larder_types::ShardRoot;
use larder_types::codec::DecodeError;

/// A shard's length in chunks and its groups' CVs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outboard {
    chunks: u64,
    groups: Vec<Cv>,
}

impl Outboard {
    pub(crate) fn new(chunks: u64, groups: Vec<Cv>) -> Self {
        Self { chunks, groups }
    }

    /// The shard's length in chunks of 1 KiB, the last perhaps short.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// The CVs, one for each group of 16 KiB.
    #[must_use]
    pub fn groups(&self) -> &[Cv] {
        &self.groups
    }

    /// The root that the groups make; `None` for a shard of one group or none, whose root is no
    /// merge of CVs.
    #[must_use]
    pub fn root(&self) -> Option<ShardRoot> {
        root_of_groups(&self.groups)
    }

    /// Whether `bytes` is group number `group` of the shard with this outboard.
    #[must_use]
    pub fn holds(&self, group: u64, bytes: &[u8]) -> bool {
        let cv = usize::try_from(group)
            .ok()
            .and_then(|index| self.groups.get(index));
        let longest = (1..=crate::chunk::GROUP).contains(&bytes.len());
        longest && cv.is_some_and(|cv| *cv == cv_of(group * GROUP_CHUNKS, bytes))
    }

    /// `chunks u64 | cv[32]*`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + 32 * self.groups.len());
        out.extend_from_slice(&self.chunks.to_le_bytes());
        out.extend(self.groups.iter().flatten());
        out
    }

    /// Reads [`Outboard::to_bytes`].
    ///
    /// # Errors
    /// If the number of CVs is not that of the chunks' groups.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let chunks = reader.u64("chunks")?;
        let count = chunks.div_ceil(GROUP_CHUNKS);
        if u64::try_from(reader.left()).ok() != count.checked_mul(32) {
            return Err(reader.bad("group CVs"));
        }
        let groups = (0..count)
            .map(|_| reader.array("group CVs"))
            .collect::<Result<_, _>>()?;
        Ok(Self { chunks, groups })
    }
}

serde_as_bytes!(Outboard);
