//! The prover: from a commitment and a challenge to a signed ProofBlob. It reads only the 16-KiB
//! groups that the draws hit, and signs nothing that its own hashes contradict: a missing or
//! damaged shard is an error here, never a bad proof. `docs/protocol.md` §3.5.

use crate::blob::{Writer, header, tag};
use crate::challenge::scale;
use crate::chunk::{self, CHUNK, GROUP_CHUNKS};
use crate::commitments::{Commitments, Committed, OpenError};
use crate::sum_tree::Levels as _;
use crate::{Challenge, Outboard, ProviderTree, ShardLeaf};
use larder_keys::Signer;
use larder_types::{ContractId, GenesisHash, ShardRoot};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

/// Reads stored shards: declared here, implemented by the node's store.
pub trait ShardReader {
    /// Why a read fails.
    type Error: std::error::Error;

    /// Group number `group` of a shard: 16 KiB.
    ///
    /// # Errors
    /// If the shard or the group cannot be read.
    fn group(&self, shard: &ShardRoot, group: u64) -> Result<Vec<u8>, Self::Error>;

    /// A shard's outboard.
    ///
    /// # Errors
    /// If it cannot be read.
    fn outboard(&self, shard: &ShardRoot) -> Result<Outboard, Self::Error>;
}

/// Why a challenge has no answer from this commitment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError<E: std::error::Error = Infallible> {
    /// The challenge asks nothing, more than 64 draws, or of no place in the tree: there is no proof.
    #[error("a challenge of {draws} draws over a sum of {sum} nano has no proof")]
    Unanswerable {
        /// Number of draws.
        draws: u8,
        /// Nano per epoch of the active root.
        sum: u64,
    },
    /// The tree is not the one that is active.
    #[error("this tree is not the active one")]
    OtherTree,
    /// The challenge names a place that holds no contract.
    #[error("place {0} of the tree holds no contract")]
    NoContract(u32),
    /// A contract's shards are not known.
    #[error("the shards of {0} are not known")]
    NoContent(ContractId),
    /// No prefix of a contract's shards makes the content root of its leaf.
    #[error("the shards of {0} are not those that its leaf commits")]
    OtherContent(ContractId),
    /// A contract's list could not be read.
    #[error("the shards of {contract} cannot be read: {source}")]
    Read {
        /// Which contract.
        contract: ContractId,
        /// Why.
        source: E,
    },
    /// A chunk's number does not fit the format (a shard of 4 TiB).
    #[error("a shard of {0} is too long to be proved")]
    ShardTooLong(ContractId),
}

/// Why no proof was made. `E` is why shards, `C` why commitments are not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProveError<E: std::error::Error, C: std::error::Error = Infallible> {
    /// The commitment does not answer the challenge.
    #[error(transparent)]
    Plan(#[from] PlanError<C>),
    /// The signer is not the provider who is asked.
    #[error("the challenge is for another node's key")]
    OtherKey,
    /// A shard could not be read.
    #[error("shard {shard} cannot be read: {source}")]
    Read {
        /// Which shard.
        shard: ShardRoot,
        /// Why.
        source: E,
    },
    /// A shard's outboard is not that of its root and length.
    #[error("the outboard of shard {shard} is not that of its root")]
    BadOutboard {
        /// Which shard.
        shard: ShardRoot,
    },
    /// A group's bytes are not those that were stored.
    #[error("group {group} of shard {shard} is damaged")]
    Damaged {
        /// Which shard.
        shard: ShardRoot,
        /// Which group of 16 KiB, from 0.
        group: u64,
    },
}

/// The chunk that a draw names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Pick {
    /// The contract's index in the provider tree.
    pub contract: u32,
    /// The shard's index in the contract, and the chunk's in the shard; `None` where the contract
    /// holds nothing and the draw passes vacuously.
    pub place: Option<(u32, u32)>,
}

/// What a proof shows of one contract.
#[derive(Debug)]
struct Shown {
    content: Committed,
    /// Chunks by shard.
    shards: BTreeMap<u32, BTreeSet<u32>>,
}

/// What a challenge asks of a commitment: one pick a draw, in the order of the draws.
#[derive(Debug)]
pub struct Plan<'a> {
    tree: &'a ProviderTree,
    contracts: BTreeMap<u32, Shown>,
    picks: Vec<Pick>,
}

impl<'a> Plan<'a> {
    /// Finds out which chunks of which shards a challenge asks for. Reads at most two things a draw
    /// of the commitments (and one more in a contract whose list has grown over a page since), and no shard.
    ///
    /// # Errors
    /// [`PlanError`] says why the commitment does not answer the challenge.
    pub fn new<C: Commitments>(
        commitments: &'a C,
        challenge: &Challenge,
    ) -> Result<Self, PlanError<C::Error>> {
        let (draws, sum) = (challenge.c, challenge.active.sum);
        if !challenge.is_answerable() {
            return Err(PlanError::Unanswerable { draws, sum });
        }
        let tree = commitments.tree();
        if tree.root() != challenge.active || tree.depth() != challenge.depth {
            return Err(PlanError::OtherTree);
        }
        let mut plan = Self {
            tree,
            contracts: BTreeMap::new(),
            picks: Vec::new(),
        };
        for (by_credit, by_chunk) in challenge.draws() {
            let drawn = || tree.find(scale(by_credit, sum), 0).0;
            let contract = challenge.contract.unwrap_or_else(drawn);
            let shown = match plan.contracts.entry(contract) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(Shown::of(commitments, contract)?),
            };
            let place = shown.pick(commitments, by_chunk)?;
            plan.picks.push(Pick { contract, place });
        }
        Ok(plan)
    }

    /// The picks, in the order of the draws.
    #[must_use]
    pub fn picks(&self) -> &[Pick] {
        &self.picks
    }

    /// The shards that will be read.
    pub fn shards(&self) -> impl Iterator<Item = &ShardLeaf> {
        self.contracts
            .values()
            .flat_map(|shown| shown.shards.keys().map(|index| shown.content.shard(*index)))
    }
}

/// What it means for a plan that a list is not what its leaf commits.
fn refusal<E: std::error::Error>(contract: ContractId, error: OpenError<E>) -> PlanError<E> {
    match error {
        OpenError::Unknown => PlanError::NoContent(contract),
        OpenError::Other => PlanError::OtherContent(contract),
        OpenError::Read(source) => PlanError::Read { contract, source },
    }
}

impl Shown {
    fn of<C: Commitments>(commitments: &C, index: u32) -> Result<Self, PlanError<C::Error>> {
        let leaf = commitments.tree().get(index);
        let leaf = leaf.ok_or(PlanError::NoContract(index))?;
        let content = Committed::open(commitments, leaf);
        Ok(Self {
            content: content.map_err(|error| refusal(leaf.contract_id, error))?,
            shards: BTreeMap::new(),
        })
    }

    fn pick<C: Commitments>(
        &mut self,
        commitments: &C,
        by_chunk: u128,
    ) -> Result<Option<(u32, u32)>, PlanError<C::Error>> {
        let (used, id) = (
            self.content.leaf().used_chunks,
            self.content.leaf().contract_id,
        );
        if used == 0 {
            return Ok(None);
        }
        let found = self.content.locate(commitments, scale(by_chunk, used));
        let (shard, chunk) = found.map_err(|error| refusal(id, error))?;
        let chunk = u32::try_from(chunk).map_err(|_| PlanError::ShardTooLong(id))?;
        self.shards.entry(shard).or_default().insert(chunk);
        Ok(Some((shard, chunk)))
    }
}

/// Makes the ProofBlob that answers a challenge.
///
/// # Errors
/// [`ProveError`]: the commitment is not the active one, or a shard is missing or damaged.
pub fn prove<C: Commitments, R: ShardReader>(
    commitments: &C,
    challenge: &Challenge,
    reader: &R,
    key: &Signer,
    genesis: &GenesisHash,
) -> Result<Vec<u8>, ProveError<R::Error, C::Error>> {
    if key.node() != challenge.provider {
        return Err(ProveError::OtherKey);
    }
    let plan = Plan::new(commitments, challenge)?;
    let mut out = Writer::new(header(challenge));
    write_contracts(&plan, &mut out);
    for shown in plan.contracts.values() {
        write_shards(shown, &mut out);
    }
    for shown in plan.contracts.values() {
        for (index, chunks) in &shown.shards {
            write_chunks(shown.content.shard(*index), chunks, reader, &mut out)?;
        }
    }
    let mut blob = out.finish();
    let signature = key.sign(tag(challenge.kind), genesis, &blob);
    blob.extend_from_slice(&signature.0);
    Ok(blob)
}

/// Section A.
fn write_contracts(plan: &Plan<'_>, out: &mut Writer) {
    out.count(plan.contracts.len());
    for (index, shown) in &plan.contracts {
        out.index(*index);
        out.bytes(&shown.content.leaf().to_bytes());
    }
    let indices: Vec<u32> = plan.contracts.keys().copied().collect();
    out.nodes(&plan.tree.siblings(&indices));
}

/// Section B of one contract; two zero counts where it holds nothing.
fn write_shards(shown: &Shown, out: &mut Writer) {
    out.count(shown.shards.len());
    for index in shown.shards.keys() {
        out.index(*index);
        out.bytes(&shown.content.shard(*index).to_bytes());
    }
    let indices: Vec<u32> = shown.shards.keys().copied().collect();
    out.nodes(&shown.content.siblings(&indices));
}

/// Section C of one shard.
fn write_chunks<R: ShardReader, C: std::error::Error>(
    leaf: &ShardLeaf,
    chunks: &BTreeSet<u32>,
    reader: &R,
    out: &mut Writer,
) -> Result<(), ProveError<R::Error, C>> {
    let outboard = read_outboard(leaf, reader)?;
    let indices: Vec<u64> = chunks.iter().map(|chunk| u64::from(*chunk)).collect();
    let mut groups = BTreeMap::new();
    for group in indices.iter().map(|index| index / GROUP_CHUNKS) {
        if let Entry::Vacant(entry) = groups.entry(group) {
            entry.insert(read_group(leaf, &outboard, group, reader)?);
        }
    }
    out.count(chunks.len());
    for index in chunks {
        let within = (*index as usize % 16) * CHUNK;
        let group = &groups[&(u64::from(*index) / GROUP_CHUNKS)];
        out.index(*index);
        out.bytes(&group[within..within + CHUNK]);
    }
    let cvs = chunk::path(&outboard, &indices, &groups);
    out.count(cvs.len());
    for cv in cvs {
        out.bytes(&cv);
    }
    Ok(())
}

fn read_outboard<R: ShardReader, C: std::error::Error>(
    leaf: &ShardLeaf,
    reader: &R,
) -> Result<Outboard, ProveError<R::Error, C>> {
    let shard = leaf.root;
    let outboard = reader
        .outboard(&shard)
        .map_err(|source| ProveError::Read { shard, source })?;
    let root = outboard.root();
    if outboard.chunks() != leaf.chunks || root.is_some_and(|root| root != shard) {
        return Err(ProveError::BadOutboard { shard });
    }
    Ok(outboard)
}

fn read_group<R: ShardReader, C: std::error::Error>(
    leaf: &ShardLeaf,
    outboard: &Outboard,
    group: u64,
    reader: &R,
) -> Result<Vec<u8>, ProveError<R::Error, C>> {
    let shard = leaf.root;
    let bytes = reader
        .group(&shard, group)
        .map_err(|source| ProveError::Read { shard, source })?;
    // The root of a shard of one group is no merge of CVs: it is the hash of these bytes.
    let good = bytes.len() == chunk::GROUP
        && outboard.holds(group, &bytes)
        && (leaf.chunks > GROUP_CHUNKS || shard.0 == *blake3::hash(&bytes).as_bytes());
    if good {
        Ok(bytes)
    } else {
        Err(ProveError::Damaged { shard, group })
    }
}
