//! The verifier: is this ProofBlob the answer to this challenge? It works in space that the number
//! of draws bounds, whatever a blob claims. `docs/protocol.md` §3.5.

use crate::blob::{self, Counted, MAX_BLOB, SIGNATURE, header};
use crate::challenge::{Challenge, Kind, scale};
use crate::chunk::{CHUNK, root_of};
use crate::content::ContentNode;
use crate::layout_reader::Reader;
use crate::provider::ProviderRoot;
use crate::sum_tree::{Node, PartialTree};
use crate::{ContractLeaf, ShardLeaf};
use larder_types::codec::DecodeError;
use larder_types::{GenesisHash, Signature};
use std::collections::BTreeMap;

/// Why a blob is not a good answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The challenge asks nothing, more than 64 draws, or of a tree that is too deep to be.
    #[error("the challenge has no proof")]
    Unanswerable,
    /// The blob's header is not that of this challenge: another slot, beacon, root, provider
    /// index or number of draws, or another format; or the length is beyond all proofs.
    #[error("not an answer to this challenge")]
    OtherChallenge,
    /// The provider did not sign these bytes.
    #[error("the signature is not the provider's")]
    BadSignature,
    /// The bytes are not those of a proof in its one form.
    #[error("malformed proof: {0}")]
    Malformed(#[from] DecodeError),
    /// The contracts shown do not make the active root.
    #[error("the contracts do not make the active root")]
    OtherRoot,
    /// The shards shown do not make a contract's content root and sum.
    #[error("the shards of contract {contract} do not make its content root")]
    OtherContent {
        /// Index in the provider tree.
        contract: u32,
    },
    /// The chunks shown do not make a shard's root.
    #[error("the chunks of shard {shard} of contract {contract} do not make its root")]
    BadChunk {
        /// Index in the provider tree.
        contract: u32,
        /// Index in the contract.
        shard: u32,
    },
    /// What a draw names is not shown.
    #[error("draw {draw} is not answered")]
    Unanswered {
        /// Which draw, from 0.
        draw: usize,
    },
    /// Something is shown that no draw names.
    #[error("the proof shows what no draw asks for")]
    Unused,
}

impl VerifyError {
    /// Whether the blob is the provider's signed answer to this very challenge, and wrong.
    /// Anything else is ignored, as anyone could have sent it. See [`convicts`].
    #[must_use]
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Unanswerable | Self::OtherChallenge | Self::BadSignature => false,
            Self::Malformed(_)
            | Self::OtherRoot
            | Self::OtherContent { .. }
            | Self::BadChunk { .. }
            | Self::Unanswered { .. }
            | Self::Unused => true,
        }
    }
}

/// A contract that the proof shows.
#[derive(Debug)]
struct Contract<'a> {
    leaf: ContractLeaf,
    /// `None` where the contract holds nothing.
    content: Option<PartialTree<ContentNode>>,
    shards: BTreeMap<u32, Shard<'a>>,
    drawn: bool,
}

/// A shard that the proof shows.
#[derive(Debug)]
struct Shard<'a> {
    leaf: ShardLeaf,
    chunks: Vec<(u32, &'a [u8])>,
    /// Which of the chunks a draw names.
    drawn: Vec<bool>,
}

/// Whether the blob convicts the provider: the ledger posed this challenge, the blob's header is
/// its (`DSP1`, slot, draws, active root, beacon), the provider signed it for this network, and it
/// is wrong. All other blobs are ignored, audits' answers above all. Nobody can make one that convicts
/// an honest provider, and everybody finds the same.
///
/// Cost: a comparison for what is no answer to this challenge, one ed25519 check for what is not signed,
/// else that of [`verify`], of at most [`MAX_BLOB`] bytes.
#[must_use]
pub fn convicts(blob: &[u8], challenge: &Challenge, genesis: &GenesisHash) -> bool {
    let wrong = || verify(blob, challenge, genesis).is_err_and(|error| error.is_fault());
    match challenge.kind {
        Kind::Ledger => wrong(),
        Kind::Audit => false,
    }
}

/// Checks a ProofBlob against a challenge, the ledger's or an auditor's own.
///
/// # Errors
/// [`VerifyError`]; [`VerifyError::is_fault`] says whether the provider signed it.
pub fn verify(
    blob: &[u8],
    challenge: &Challenge,
    genesis: &GenesisHash,
) -> Result<(), VerifyError> {
    if !challenge.is_answerable() {
        return Err(VerifyError::Unanswerable);
    }
    let header = header(challenge);
    if blob.len() > MAX_BLOB || !blob.starts_with(&header) {
        return Err(VerifyError::OtherChallenge);
    }
    let (signed, signature) = blob
        .split_last_chunk::<SIGNATURE>()
        .ok_or(VerifyError::BadSignature)?;
    let (key, tag) = (&challenge.provider.0, blob::tag(challenge.kind));
    if !larder_keys::verify(key, tag, genesis, signed, &Signature(*signature)) {
        return Err(VerifyError::BadSignature);
    }
    let body = signed
        .get(header.len()..)
        .ok_or(VerifyError::BadSignature)?;
    let draws = usize::from(challenge.c);
    let mut reader = Reader::new(body);
    let (tree, mut contracts) = read_contracts(&mut reader, challenge)?;
    read_shards(&mut reader, &mut contracts, draws)?;
    read_chunks(&mut reader, &mut contracts, draws)?;
    reader.end()?;
    answer(challenge, &tree, &mut contracts)
}

/// Rebuilds a tree's root from leaves and the siblings that follow in the blob. `None` if sums
/// overflow.
fn rebuild<N: Node>(
    reader: &mut Reader<'_>,
    depth: u8,
    leaves: BTreeMap<u32, N>,
    field: &'static str,
) -> Result<Option<PartialTree<N>>, DecodeError> {
    let mut siblings = Counted::new(reader, field)?;
    let tree = PartialTree::rebuild(depth, leaves, || siblings.next(N::read))?;
    // Of sums that overflow no more siblings were read.
    if tree.is_some() {
        siblings.end()?;
    }
    Ok(tree)
}

/// Whether `index` is a place of a tree of this depth.
fn within(index: u32, depth: u8) -> bool {
    u64::from(index) >> depth == 0
}

type Shown<'a> = BTreeMap<u32, Contract<'a>>;

/// Section A.
fn read_contracts<'a>(
    reader: &mut Reader<'a>,
    challenge: &Challenge,
) -> Result<(PartialTree<ProviderRoot>, Shown<'a>), VerifyError> {
    const FIELD: &str = "contracts";
    let (draws, depth) = (usize::from(challenge.c), challenge.depth);
    let listed = blob::indexed(reader, draws, FIELD, |index, reader| {
        let refusal = reader.bad(FIELD);
        let leaf = ContractLeaf::from_bytes(reader.take(ContractLeaf::LEN, FIELD)?)?;
        within(index, depth).then_some(leaf).ok_or(refusal)
    })?;
    if listed.is_empty() {
        return Err(reader.bad(FIELD).into());
    }
    let nodes = listed.iter().map(|(i, leaf)| (*i, leaf.into())).collect();
    let tree = rebuild(reader, depth, nodes, FIELD)?
        .filter(|tree| tree.root() == challenge.active)
        .ok_or(VerifyError::OtherRoot)?;
    let contract = |leaf| Contract {
        leaf,
        content: None,
        shards: BTreeMap::new(),
        drawn: false,
    };
    let contracts = listed.into_iter().map(|(i, leaf)| (i, contract(leaf)));
    Ok((tree, contracts.collect()))
}

/// Section B: the shards of each contract in A. All together are at most the draws.
fn read_shards(
    reader: &mut Reader<'_>,
    contracts: &mut Shown<'_>,
    draws: usize,
) -> Result<(), VerifyError> {
    const FIELD: &str = "shards";
    let mut left = draws;
    for (index, contract) in contracts {
        let leaf = &contract.leaf;
        let most = if leaf.used_chunks == 0 { 0 } else { left };
        let listed = blob::indexed(reader, most, FIELD, |index, reader| {
            let refusal = reader.bad(FIELD);
            let shard = ShardLeaf::from_bytes(reader.take(ShardLeaf::LEN, FIELD)?)?;
            (shard.is_sound() && within(index, leaf.depth))
                .then_some(shard)
                .ok_or(refusal)
        })?;
        left -= listed.len();
        if leaf.used_chunks == 0 {
            Counted::new(reader, FIELD)?.end()?;
            continue;
        }
        if listed.is_empty() {
            return Err(reader.bad(FIELD).into());
        }
        let nodes = listed.iter().map(|(i, shard)| (*i, shard.into())).collect();
        let committed = ContentNode {
            hash: leaf.content_root,
            chunks: leaf.used_chunks,
        };
        let tree = rebuild(reader, leaf.depth, nodes, FIELD)?
            .filter(|tree| tree.root() == committed)
            .ok_or(VerifyError::OtherContent { contract: *index })?;
        contract.content = Some(tree);
        let shard = |leaf| Shard {
            leaf,
            chunks: Vec::new(),
            drawn: Vec::new(),
        };
        contract.shards = listed.into_iter().map(|(i, l)| (i, shard(l))).collect();
    }
    Ok(())
}

/// Section C: the chunks of each shard in B. All together are at most the draws.
fn read_chunks<'a>(
    reader: &mut Reader<'a>,
    contracts: &mut Shown<'a>,
    draws: usize,
) -> Result<(), VerifyError> {
    const FIELD: &str = "chunks";
    let mut left = draws;
    for (contract, shown) in contracts {
        for (index, shard) in &mut shown.shards {
            let length = shard.leaf.chunks;
            let listed = blob::indexed(reader, left, FIELD, |index, reader| {
                let refusal = reader.bad(FIELD);
                let bytes = reader.take(CHUNK, FIELD)?;
                (u64::from(index) < length).then_some(bytes).ok_or(refusal)
            })?;
            left -= listed.len();
            if listed.is_empty() {
                return Err(reader.bad(FIELD).into());
            }
            let path: Vec<_> = listed.iter().map(|(i, b)| (u64::from(*i), *b)).collect();
            let mut cvs = Counted::new(reader, FIELD)?;
            let root = root_of(length, &path, &mut || cvs.next(|r| r.array(FIELD)))?;
            cvs.end()?;
            if root != shard.leaf.root {
                return Err(VerifyError::BadChunk {
                    contract: *contract,
                    shard: *index,
                });
            }
            shard.drawn = vec![false; listed.len()];
            shard.chunks = listed;
        }
    }
    Ok(())
}

/// Redoes the draws on what is shown: each must end in something shown, and all that is shown
/// must be named by one.
fn answer(
    challenge: &Challenge,
    tree: &PartialTree<ProviderRoot>,
    contracts: &mut Shown<'_>,
) -> Result<(), VerifyError> {
    for (draw, (by_credit, by_chunk)) in challenge.draws().into_iter().enumerate() {
        let drawn = || Some(tree.find(scale(by_credit, challenge.active.sum))?.0);
        challenge
            .contract
            .or_else(drawn)
            .and_then(|index| contracts.get_mut(&index))
            .and_then(|contract| contract.mark(by_chunk))
            .ok_or(VerifyError::Unanswered { draw })?;
    }
    let all_drawn = contracts.values().all(|contract| {
        let mut chunks = contract.shards.values().flat_map(|shard| &shard.drawn);
        contract.drawn && chunks.all(|drawn| *drawn)
    });
    all_drawn.then_some(()).ok_or(VerifyError::Unused)
}

impl Contract<'_> {
    /// Notes what a draw on this contract names; `None` if that is not shown.
    fn mark(&mut self, by_chunk: u128) -> Option<()> {
        self.drawn = true;
        let Some(content) = &self.content else {
            return Some(());
        };
        let (shard, chunk) = content.find(scale(by_chunk, self.leaf.used_chunks))?;
        let shard = self.shards.get_mut(&shard)?;
        let at = shard
            .chunks
            .binary_search_by_key(&chunk, |(index, _)| u64::from(*index))
            .ok()?;
        shard.drawn[at] = true;
        Some(())
    }
}

#[cfg(test)]
#[path = "verify/tests.rs"]
mod tests;

#[cfg(test)]
#[path = "verify/convicts_tests.rs"]
mod convicts_tests;
