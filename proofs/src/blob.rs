//! The ProofBlob's bytes: what prover and verifier share of the formats `DSP1` (ledger)
//! and `DSP2` (audit), which differ in name and signature alone. Little endian; indices are sorted, nothing is listed that the check does not use, no byte trails: a proof has
//! one form. `docs/protocol.md` §3.5.

use crate::ShardLeaf;
use crate::challenge::{Challenge, Kind};
use crate::chunk::CHUNK;
use crate::contract_leaf::{ContractLeaf, MAX_DEPTH};
use crate::layout_reader::Reader;
use crate::provider::ProviderRoot;
use larder_keys::Tag;
use larder_types::codec::DecodeError;
use larder_types::layout::Layout;

/// The tag of what the provider signs: everything before the signature.
pub(crate) fn tag(kind: Kind) -> Tag {
    match kind {
        Kind::Ledger => Tag("proof"),
        Kind::Audit => Tag("audit"),
    }
}

/// The format's name and version.
fn magic(kind: Kind) -> [u8; 4] {
    match kind {
        Kind::Ledger => *b"DSP1",
        Kind::Audit => *b"DSP2",
    }
}

/// Bytes of an ed25519 signature.
pub(crate) const SIGNATURE: usize = 64;
/// The most draws of a challenge.
pub const MAX_DRAWS: usize = 64;

/// No proof is longer, in bytes: each of 64 draws in a contract and a shard of its own, all trees
/// of their greatest depth. Honest proofs of 16 draws take 31–43 KB.
pub const MAX_BLOB: usize = HEADER
    + SIGNATURE
    + 4
    + MAX_DRAWS
        * ((4 + ContractLeaf::LEN + MAX_DEPTH as usize * ProviderRoot::LEN)
            + (4 + 4 + ShardLeaf::LEN + MAX_DEPTH as usize * 40)
            + (4 + 4 + CHUNK + 64 * 32));

const HEADER: usize = 4 + 4 + 8 + 32 + 1 + 32;

/// The header of the proof that answers `challenge`; there is only one.
pub(crate) fn header(challenge: &Challenge) -> Vec<u8> {
    Layout::new()
        .fixed(magic(challenge.kind))
        .u32(challenge.provider_index)
        .u64(challenge.slot_no)
        .fixed(challenge.beacon)
        .u8(challenge.c)
        .fixed(challenge.active.hash)
        .finish()
}

/// Writes the counted lists of a proof's sections.
#[derive(Debug)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new(header: Vec<u8>) -> Self {
        Self(header)
    }

    /// A count. At most 64 leaves and 64 · 64 siblings are ever listed.
    pub(crate) fn count(&mut self, n: usize) {
        let n = u16::try_from(n).expect("the draws bound every list");
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    pub(crate) fn index(&mut self, index: u32) {
        self.0.extend_from_slice(&index.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn nodes<N: crate::sum_tree::Node>(&mut self, nodes: &[N]) {
        self.count(nodes.len());
        for node in nodes {
            node.write(&mut self.0);
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads a list `n u16 {idx u32, item}*n` with ascending indices, at most `most` of them.
pub(crate) fn indexed<'a, T>(
    reader: &mut Reader<'a>,
    most: usize,
    field: &'static str,
    mut item: impl FnMut(u32, &mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<(u32, T)>, DecodeError> {
    let refusal = reader.bad(field);
    let n = usize::from(reader.u16(field)?);
    if n > most {
        return Err(refusal);
    }
    let mut items: Vec<(u32, T)> = Vec::with_capacity(n);
    for _ in 0..n {
        let refusal = reader.bad(field);
        let index = reader.u32(field)?;
        if items.last().is_some_and(|(before, _)| *before >= index) {
            return Err(refusal);
        }
        items.push((index, item(index, reader)?));
    }
    Ok(items)
}

/// Reads a list `m u16 {item}*m` one by one, as its user asks for items.
#[derive(Debug)]
pub(crate) struct Counted<'r, 'a> {
    reader: &'r mut Reader<'a>,
    left: u16,
    field: &'static str,
}

impl<'r, 'a> Counted<'r, 'a> {
    pub(crate) fn new(
        reader: &'r mut Reader<'a>,
        field: &'static str,
    ) -> Result<Self, DecodeError> {
        let left = reader.u16(field)?;
        Ok(Self {
            reader,
            left,
            field,
        })
    }

    pub(crate) fn next<T>(
        &mut self,
        item: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let refusal = self.reader.bad(self.field);
        self.left = self.left.checked_sub(1).ok_or(refusal)?;
        item(self.reader)
    }

    /// Refuses items that nobody asked for.
    pub(crate) fn end(self) -> Result<(), DecodeError> {
        if self.left == 0 {
            Ok(())
        } else {
            Err(self.reader.bad(self.field))
        }
    }
}
