//! The provider's side: what it has promised, what it stores, what it posts, what it proves.
//! Few contracts per account; every promise is a durable row before it is sent.

pub(crate) mod acks;
pub(crate) mod audits;
pub(crate) mod fitness;
pub(crate) mod gifts;
pub(crate) mod heads;
pub(crate) mod losses;
pub(crate) mod offering;
pub(crate) mod places;
pub(crate) mod posting;
pub(crate) mod proving;
pub(crate) mod requests;
pub(crate) mod revoked;
pub(crate) mod shards;

use crate::io::{OpId, Token};
use crate::rows::{LossRow, LossTotals, ShardRow, VolumeId, Write};
use larder_contracts::{Revision, SignedLeaf};
use larder_proofs::{Challenge, Commitment, ContentTree, ContractLeaf, ShardLeaf};
use larder_types::{AccountId, Amount, Bytes, ContractId, Epoch, ShardRoot, Signature, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

pub use fitness::{Disks, Taking};

/// Outboards take 0.2 % beside the shards; one part in … of the quota is kept for them.
const OUTBOARD_SHARE: u64 = 256;

/// What a provider offers; from its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provide {
    /// How much disk.
    pub quota: Bytes,
    /// Nano per GiB and 30 days.
    pub price: Amount,
    /// Nano per MiB that is read.
    pub egress_price: Amount,
    /// Where it stands, at most 16 characters.
    pub region: String,
    /// Who runs it, at most 64 characters.
    pub operator: String,
    /// What it takes on.
    pub taking: Taking,
}

impl Provide {
    /// No space for anyone new; what is held is kept.
    pub(crate) const fn nothing() -> Self {
        Self {
            quota: Bytes(0),
            price: Amount::ZERO,
            egress_price: Amount::ZERO,
            region: String::new(),
            operator: String::new(),
            taking: Taking::Leaving,
        }
    }
}

/// A contract that we provide.
#[derive(Debug)]
pub(crate) struct Held {
    /// The newest leaf, as the renter signed it, with our signature.
    pub(crate) signed: SignedLeaf,
    pub(crate) sig_provider: Signature,
    /// Its ordered shards.
    pub(crate) content: ContentTree,
    /// Stored and acknowledged, in no revision yet, and since when (`None`: since a restart).
    pub(crate) loose: BTreeMap<ShardRoot, (ShardLeaf, Option<Time>)>,
    /// Chunks that are being received.
    pub(crate) incoming: u64,
    /// The leaf that is active on the ledger.
    pub(crate) active: Option<ContractLeaf>,
    /// The newest revision that was posted, and the epoch it was posted in.
    pub(crate) posted: Option<(Epoch, u64)>,
    /// The last loss that was declared.
    pub(crate) loss: Option<LossRow>,
    /// The epoch in which one was declared.
    pub(crate) declared: Option<Epoch>,
}

impl Held {
    /// A contract of which only its newest revision is known.
    pub(crate) fn new(revision: Revision) -> Self {
        Self {
            signed: revision.signed,
            sig_provider: revision.sig_provider,
            content: ContentTree::new(),
            loose: BTreeMap::new(),
            incoming: 0,
            active: None,
            posted: None,
            loss: None,
            declared: None,
        }
    }

    pub(crate) fn leaf(&self) -> &ContractLeaf {
        &self.signed.leaf
    }

    /// Chunks that may be filled in `epoch`: terms that should be active by now and are not buy
    /// nothing.
    pub(crate) fn room(&self, epoch: Epoch) -> u64 {
        match self.active {
            Some(active) if self.leaf().start_epoch <= epoch => active.capacity_chunks,
            Some(_) | None => self.leaf().capacity_chunks,
        }
    }

    /// Chunks that are spoken for: in the tree, acknowledged, or on their way.
    pub(crate) fn spoken_chunks(&self) -> u64 {
        self.leaf().used_chunks
            + self.loose.values().map(|(l, _)| l.chunks).sum::<u64>()
            + self.incoming
    }
}

/// The provider's side of the engine.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) config: Provide,
    pub(crate) addrs: Vec<String>,
    pub(crate) contracts: BTreeMap<ContractId, Held>,
    /// Every stored shard, the contract it belongs to, and its leaf.
    pub(crate) shards: BTreeMap<ShardRoot, (ContractId, ShardLeaf)>,
    pub(crate) receiving: BTreeMap<Token, (ContractId, ShardLeaf)>,
    pub(crate) losses: losses::Losses,
    pub(crate) places: places::Places,
    pub(crate) fitness: fitness::Fitness,
    /// What was committed to for this epoch.
    pub(crate) commitment: Option<Arc<Commitment>>,
    /// The answers of this slot: for all contracts, and for those that were asked for alone.
    pub(crate) proofs: BTreeMap<Option<ContractId>, Proof>,
    /// When the offer is due to be spread again.
    pub(crate) offer_at: Time,
    /// Contracts whose money terms are to be posted at once.
    pub(crate) urgent: std::collections::BTreeSet<ContractId>,
    /// The epoch whose content revisions have been posted.
    pub(crate) posted_epoch: Option<Epoch>,
    pub(crate) free_collateral: Option<Amount>,
    /// What the ledger lets us hold, chunks: little at first.
    pub(crate) capacity_most: u64,
    /// Whether the ledger holds us FAULTED: nothing opens with us, nothing changes.
    pub(crate) faulted: bool,
    pub(crate) registering: Option<larder_types::TxId>,
    /// The heads that we keep for the accounts of our contracts.
    pub(crate) heads: heads::KeptHeads,
    pub(crate) audits: audits::Audits,
    /// Readers whose rights their owner has taken back.
    pub(crate) revoked: revoked::RevokedReaders,
    /// What validators said of our proofs.
    pub(crate) acks: acks::Acks,
    /// What is given to friends.
    pub(crate) gifts: gifts::Gifts,
}

/// The proof for one slot, on its way.
#[derive(Debug)]
pub(crate) struct Proof {
    pub(crate) challenge: Challenge,
    /// When it was begun, the last time.
    pub(crate) begun: Time,
    pub(crate) blob: Option<Vec<u8>>,
    pub(crate) op: Option<OpId>,
    pub(crate) done: bool,
    /// How often it was sent in vain.
    pub(crate) tries: u32,
    pub(crate) retry_at: Time,
}

impl Provider {
    pub(crate) fn new(config: Provide) -> Self {
        Self {
            config,
            addrs: Vec::new(),
            contracts: BTreeMap::new(),
            shards: BTreeMap::new(),
            receiving: BTreeMap::new(),
            losses: losses::Losses::default(),
            places: places::Places::default(),
            fitness: fitness::Fitness::default(),
            faulted: false,
            commitment: None,
            proofs: BTreeMap::new(),
            offer_at: Time(0),
            urgent: std::collections::BTreeSet::new(),
            posted_epoch: None,
            free_collateral: None,
            capacity_most: 0,
            registering: None,
            heads: heads::KeptHeads::default(),
            audits: audits::Audits::default(),
            revoked: revoked::RevokedReaders::default(),
            acks: acks::Acks::default(),
            gifts: gifts::Gifts::default(),
        }
    }

    /// Takes durable rows up again. Shards beyond the signed revision are loose.
    pub(crate) fn restore(
        config: Provide,
        held: Vec<(ContractId, Revision)>,
        mut shards: Vec<(ShardRoot, ShardRow)>,
        (losses, totals): (Vec<(ContractId, LossRow)>, LossTotals),
        places: Vec<(ShardRoot, VolumeId)>,
    ) -> Self {
        let mut provider = Self::new(config);
        provider.places = places::Places::restore(places);
        provider.losses = losses::Losses::restore(totals);
        for (id, row) in held {
            provider.contracts.insert(id, Held::new(row));
        }
        shards.sort_by_key(|(root, row)| (row.index, *root));
        for (root, row) in shards {
            let Some(held) = provider.contracts.get_mut(&row.contract) else {
                continue;
            };
            match row.index {
                Some(index) => {
                    // What is missing in between was lost.
                    losses::pad(&mut held.content, index);
                    held.content
                        .push(row.leaf)
                        .expect("what was co-signed is a sound tree");
                }
                None => {
                    held.loose.insert(root, (row.leaf, None));
                }
            }
            provider.shards.insert(root, (row.contract, row.leaf));
            if row.damaged {
                provider.losses.damaged.insert(root);
            }
        }
        for (id, row) in losses {
            if let Some(held) = provider.contracts.get_mut(&id) {
                held.restore_loss(row);
            }
        }
        provider
    }

    /// Chunks for anybody that no contract but `except` has bought and no friend is given: of the quota, of what the ledger lets it hold,
    /// and of what the disks have, whichever is least. A little is kept for what the shard store writes beside the shards. Where the
    /// quota was made smaller than what is sold, nothing is left for renewals either, until enough
    /// contracts have ended. What is kept for `friend` is free for it.
    pub(crate) fn free_chunks(
        &self,
        epoch: Epoch,
        except: Option<&ContractId>,
        friend: Option<&AccountId>,
    ) -> u64 {
        let (mut sold, mut unfilled, mut own) = (0, 0, 0);
        for (id, held) in &self.contracts {
            if Some(id) == except {
                own = held.spoken_chunks();
            } else {
                let room = held.room(epoch);
                sold += room;
                unfilled += room.saturating_sub(held.spoken_chunks());
            }
        }
        let kept = self.kept_for_friends(epoch, friend);
        unfilled += kept;
        let of_quota = chunks(self.config.quota).min(self.capacity_most);
        let of_quota = of_quota.saturating_sub(sold).saturating_sub(kept);
        let disks = self.fitness.disks.free;
        let of_disks = disks.map(|free| (chunks(free) + own).saturating_sub(unfilled));
        of_disks.map_or(of_quota, |of_disks| of_quota.min(of_disks))
    }

    /// Forgets a contract: its rows go, its shards go to the trash.
    pub(crate) fn forget(&mut self, ctx: &mut crate::ctx::Ctx<'_>, id: &ContractId) {
        let Some(held) = self.contracts.remove(id) else {
            return;
        };
        self.urgent.remove(id);
        let roots: Vec<ShardRoot> = held
            .content
            .leaves()
            .iter()
            .filter(|l| !l.is_empty())
            .map(|l| l.root)
            .chain(held.loose.keys().copied())
            .collect();
        let mut rows = vec![Write::held(id, None)];
        rows.extend(held.loss.map(|_| Write::loss(id, None)));
        rows.extend(self.revoked.forget(id));
        self.drop_shards(ctx, roots, rows);
    }

    /// When something of the provider's is due.
    pub(crate) fn deadline(
        &self,
        me: &crate::ctx::Identity,
        chain: &crate::ctx::Chain,
        now: Time,
    ) -> Option<Time> {
        self.free_collateral?;
        // A chain that is behind is waited for: its next block brings the next look.
        let current = me.schedule.epoch_at(now) <= chain.epoch;
        let post = (current && self.posted_epoch != Some(chain.epoch))
            .then(|| posting::post_at(me, chain.epoch))
            .map(|at| at.max(now));
        let proof = self
            .proofs
            .values()
            .filter(|p| !p.done && p.op.is_none())
            .map(|p| p.retry_at)
            .min();
        [post, proof]
            .into_iter()
            .fold(Some(self.offer_at), crate::ctx::sooner)
    }
}

/// Chunks that fit into this much disk, their outboards beside them.
pub(crate) const fn chunks(disk: Bytes) -> u64 {
    let chunks = disk.0 / larder_types::params::CHUNK;
    chunks - chunks / OUTBOARD_SHARE
}
