//! What the engine knows, for people and programs that ask: plain values, copied.

use crate::provider::{Provide, Provider};
pub use crate::renter::fetches::Probed;
use crate::renter::repairs::Phase;
use crate::rows::{AuditRow, SegmentRow, VolumeId};
use crate::{Dropping, Engine, NoRoom};
use larder_coding::Code;
use larder_contracts::{Auth, Refusal, SignedOffer};
use larder_ledger::Tx;
use larder_proofs::ContractLeaf;
use larder_types::{
    AccountId, Amount, Class, ContractId, Epoch, Millis, NodeId, SegmentId, ShardRoot, Time, TxId,
};
use std::collections::{BTreeMap, BTreeSet};

/// A contract, from either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractReport {
    /// Its id.
    pub contract: ContractId,
    /// Who stores.
    pub provider: NodeId,
    /// The newest leaf.
    pub leaf: ContractLeaf,
    /// Whether it is active on the ledger.
    pub active: bool,
    /// Whether we are the renter.
    pub rented: bool,
    /// What our audits of the provider have shown.
    pub audits: AuditRow,
    /// Whether the provider takes no shards, though it was asked again and again.
    pub refuses: bool,
    /// The epoch in which it ends because notice was given, as of the last boundary.
    pub leaves_in: Option<Epoch>,
}

/// How the stored segments stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentsReport {
    /// All segments.
    pub segments: u64,
    /// Those with positions that no provider holds.
    pub below_full: u64,
    /// Those with fewer positions than are needed.
    pub lost: u64,
    /// Bytes that providers hold.
    pub bytes_stored: u64,
    /// Segments with positions whose provider is silent, though not lost.
    pub suspect: u64,
    /// Segments that are being repaired now.
    pub repairing: u64,
    /// Shards that repair has placed anew, ever.
    pub shards_repaired: u64,
    /// Bytes that it fetched for that.
    pub bytes_read: u64,
    /// Bytes that it placed.
    pub bytes_written: u64,
}

/// A segment that is not whole. Each of its n positions is alive or lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHealth {
    /// Which.
    pub segment: SegmentId,
    /// Its code: k, n, r.
    pub code: Code,
    /// Positions that providers hold, suspect ones included.
    pub alive: u16,
    /// Those among them whose provider is silent or has missed its last challenges.
    pub suspect: u16,
    /// Positions that nobody holds.
    pub lost: u16,
    /// What is done about it.
    pub state: RepairState,
}

/// How far a segment's repair is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepairState {
    /// Fewer than k positions can be read: it cannot be repaired now.
    Lost,
    /// It waits: for its turn, for a provider with room, or for an epoch to pass.
    Waiting,
    /// k shards are being fetched.
    Fetching,
    /// The missing ones are being rebuilt.
    Rebuilding,
    /// They lie in the spool and are being placed.
    Placing,
}

/// A repair, under way or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepairReport {
    /// Of which segment.
    pub segment: SegmentId,
    /// How far it is; `None`: it has ended, and the segment was whole.
    pub state: Option<RepairState>,
    /// Shards that it replaces, as far as that is known.
    pub shards: u16,
    /// Bytes fetched for it.
    pub bytes_read: u64,
    /// Bytes placed.
    pub bytes_written: u64,
    /// When it began, or was taken up after a restart.
    pub began: Time,
    /// When it ended.
    pub ended: Option<Time>,
}

const fn state_of(phase: &Phase) -> RepairState {
    match phase {
        Phase::Fetching => RepairState::Fetching,
        Phase::Rebuilding { .. } => RepairState::Rebuilding,
        Phase::Placing => RepairState::Placing,
    }
}

/// A segment that can be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// Which.
    pub segment: SegmentId,
    /// Its class.
    pub class: Class,
    /// Whether it holds metadata.
    pub meta: bool,
    /// Whether it is a catalogue of other segments.
    pub catalogue: bool,
    /// Bytes of its ciphertext.
    pub len: u64,
}

/// Most segments named in one report.
const MAX_NAMED: usize = 1_000;

/// What the provider's side holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderReport {
    /// Quota, bytes.
    pub quota: u64,
    /// Bought capacity, bytes.
    pub sold: u64,
    /// Bytes stored.
    pub used: u64,
    /// What would be taken on now, bytes.
    pub free: u64,
    /// Shards stored.
    pub shards: u64,
    /// Contracts.
    pub contracts: u64,
    /// Stored shards that were found damaged so far.
    pub damaged: u64,
    /// Those of them that were declared lost on the ledger.
    pub declared: u64,
    /// Whether the ledger holds it FAULTED.
    pub faulted: bool,
    /// How long the next proof is expected to take, by those before it.
    pub proof_takes: Option<Millis>,
    /// Why nothing is taken on now, whatever the operator wants: it could not be proven.
    pub refuses: Option<Refusal>,
}

impl Engine {
    /// The offers that hold now.
    #[must_use]
    pub fn offers(&self, now: Time) -> Vec<SignedOffer> {
        self.renter.book.valid(now).cloned().collect()
    }

    /// Every contract, provided and rented.
    #[must_use]
    pub fn contracts(&self) -> Vec<ContractReport> {
        let rented = self.renter.leases.iter().map(|(id, lease)| ContractReport {
            contract: *id,
            provider: lease.provider,
            leaf: *lease.leaf(),
            active: lease.active.is_some(),
            rented: true,
            audits: self.renter.audits.of(&lease.provider),
            refuses: lease.refuses(),
            leaves_in: lease.leaves_in,
        });
        let held = self
            .provider
            .iter()
            .flat_map(|p| &p.contracts)
            .map(|(id, held)| ContractReport {
                contract: *id,
                provider: self.me.node(),
                leaf: *held.leaf(),
                active: held.active.is_some(),
                rented: false,
                audits: AuditRow::default(),
                refuses: false,
                leaves_in: None,
            });
        rented.chain(held).collect()
    }

    /// What our audits of a provider have shown.
    #[must_use]
    pub fn audits_of(&self, provider: &NodeId) -> AuditRow {
        self.renter.audits.of(provider)
    }

    /// How the stored segments stand.
    #[must_use]
    pub fn segments(&self) -> SegmentsReport {
        let mut report = SegmentsReport::default();
        let kept = self.renter.segments.iter().filter(|(_, row)| !row.dropped);
        for (id, row) in kept {
            let held = row.holders.iter().flatten().count() as u64;
            report.segments += 1;
            report.below_full += u64::from(held < row.holders.len() as u64);
            // What is being placed for the first time is no loss.
            let placed = !row.roots.is_empty() && !self.renter.uploads.contains_key(id);
            report.lost += u64::from(placed && held < u64::from(row.code.k()));
            report.bytes_stored += held * row.shard_len;
            report.suspect += u64::from(self.suspects(row) > 0);
        }
        let totals = self.renter.totals;
        report.repairing = self.renter.repairs.len() as u64;
        report.shards_repaired = totals.shards;
        report.bytes_read = totals.bytes_read;
        report.bytes_written = totals.bytes_written;
        report
    }

    /// Held positions of a segment whose provider is silent or has missed its last challenges.
    fn suspects(&self, row: &SegmentRow) -> u16 {
        let renter = &self.renter;
        let suspect = |id: &&ContractId| {
            renter.leases.get(id).is_some_and(|lease| {
                lease.is_suspect() || renter.is_doubtful(&lease.provider, self.now)
            })
        };
        let suspects = row.holders.iter().flatten().filter(suspect).count();
        u16::try_from(suspects).unwrap_or(u16::MAX)
    }

    /// The repairs under way, then the last ones that ended, newest first.
    #[must_use]
    pub fn repairs(&self) -> Vec<RepairReport> {
        let renter = &self.renter;
        let under_way = renter.repairs.iter().map(|(id, repair)| {
            let replaced = match &repair.phase {
                Phase::Rebuilding { missing, .. } => repair.shards.len() + missing.len(),
                Phase::Fetching | Phase::Placing => repair.shards.len(),
            };
            RepairReport {
                segment: *id,
                state: Some(state_of(&repair.phase)),
                shards: u16::try_from(replaced).unwrap_or(u16::MAX),
                bytes_read: repair.bytes_read,
                bytes_written: repair.bytes_written,
                began: repair.began.unwrap_or(self.now),
                ended: None,
            }
        });
        let ended = renter.done.iter().rev().map(|done| RepairReport {
            segment: done.segment,
            state: None,
            shards: done.shards,
            bytes_read: done.bytes_read,
            bytes_written: done.bytes_written,
            began: done.began,
            ended: Some(done.ended),
        });
        under_way.chain(ended).collect()
    }

    /// Why segments that are to be repaired find no provider, if they find none.
    #[must_use]
    pub fn repair_trouble(&self) -> Option<&NoRoom> {
        let lacks = self.renter.lacking.ids().next().is_some();
        self.renter.no_room.as_ref().filter(|_| lacks)
    }

    fn repair_state(&self, id: &SegmentId, row: &SegmentRow) -> RepairState {
        let renter = &self.renter;
        if let Some(repair) = renter.repairs.get(id) {
            state_of(&repair.phase)
        } else if renter.uploads.contains_key(id) {
            RepairState::Placing
        } else if renter.readable(id, row) < row.code.k() {
            RepairState::Lost
        } else {
            RepairState::Waiting
        }
    }

    /// The segments that are not whole, worst first.
    #[must_use]
    pub fn below_full(&self) -> Vec<SegmentHealth> {
        let mut health: Vec<SegmentHealth> = self
            .renter
            .segments
            .iter()
            .filter(|(_, row)| !row.dropped && row.holders.iter().any(Option::is_none))
            .map(|(id, row)| {
                let alive = self.renter.alive(row).soft;
                SegmentHealth {
                    segment: *id,
                    code: row.code,
                    alive,
                    suspect: self.suspects(row),
                    lost: row.code.n().saturating_sub(alive),
                    state: self.repair_state(id, row),
                }
            })
            .collect();
        health.sort_by_key(|h| (i32::from(h.alive) - i32::from(h.code.k()), h.segment));
        health.truncate(MAX_NAMED);
        health
    }

    /// The segments with shards in the spool, and those with shards on their way into it: what the
    /// spool must keep.
    #[must_use]
    pub fn uploading(&self) -> Vec<SegmentId> {
        let uploads = self.renter.uploads.keys();
        let all: BTreeSet<SegmentId> = uploads.chain(self.renter.repairs.keys()).copied().collect();
        all.into_iter().collect()
    }

    /// The shards that the provider's side answers for: what the shard store must keep.
    #[must_use]
    pub fn stored_shards(&self) -> Vec<ShardRoot> {
        self.provider
            .iter()
            .flat_map(|p| p.shards.keys().copied())
            .collect()
    }

    /// The same, by the volume that they lie on.
    #[must_use]
    pub fn shards_by_volume(&self) -> BTreeMap<VolumeId, Vec<ShardRoot>> {
        let mut volumes: BTreeMap<VolumeId, Vec<ShardRoot>> = BTreeMap::new();
        if let Some(provider) = &self.provider {
            for root in provider.shards.keys() {
                let volume = provider.places.of(root);
                volumes.entry(volume).or_default().push(*root);
            }
        }
        volumes
    }

    /// What the node offers; `None` if it offers nothing.
    #[must_use]
    pub fn offering(&self) -> Option<&Provide> {
        self.provider.as_ref().map(|p| &p.config)
    }

    /// The stored shards of which no damage is known: what is worth scrubbing.
    #[must_use]
    pub fn sound_shards(&self) -> Vec<ShardRoot> {
        self.provider.iter().flat_map(Provider::sound).collect()
    }

    /// Whether the provider's side answers for a shard of which no damage is known.
    #[must_use]
    pub fn is_sound(&self, root: &ShardRoot) -> bool {
        self.provider.as_ref().is_some_and(|p| p.is_sound(root))
    }

    /// The segments that can be fetched: providers hold at least k positions.
    #[must_use]
    pub fn known_segments(&self) -> Vec<SegmentReport> {
        let enough =
            |row: &SegmentRow| row.holders.iter().flatten().count() >= usize::from(row.code.k());
        self.renter
            .segments
            .iter()
            .filter(|(_, row)| !row.roots.is_empty() && !row.dropped && enough(row))
            .map(|(id, row)| SegmentReport {
                segment: *id,
                class: row.class,
                meta: row.meta,
                catalogue: row.catalogue,
                len: row.len,
            })
            .collect()
    }

    /// What reading a segment's shards has found so far; nothing of one that is not being fetched.
    #[must_use]
    pub fn probed(&self, segment: &SegmentId) -> Option<Probed> {
        self.renter.probed(segment)
    }

    /// How the dropped segments stand, and what the admin key is to sign.
    #[must_use]
    pub fn dropping(&self) -> Dropping {
        self.renter.dropping(&self.me, self.chain.epoch)
    }

    /// What the provider's side holds; `None` if the node offers nothing.
    #[must_use]
    pub fn provided(&self) -> Option<ProviderReport> {
        let provider = self.provider.as_ref()?;
        let chunk = larder_types::params::CHUNK;
        let sum = |f: fn(&ContractLeaf) -> u64| -> u64 {
            provider
                .contracts
                .values()
                .map(|h| f(h.leaf()) * chunk)
                .sum()
        };
        Some(ProviderReport {
            quota: provider.config.quota.0,
            sold: sum(|l| l.capacity_chunks),
            used: sum(|l| l.used_chunks),
            free: provider.offered(&self.me, self.chain.epoch).0,
            shards: provider.shards.len() as u64,
            contracts: provider.contracts.len() as u64,
            damaged: provider.losses.totals.damaged,
            declared: provider.losses.totals.declared,
            faulted: provider.faulted,
            proof_takes: provider.fitness.expected(),
            refuses: provider.fitness.judge(&self.me).err(),
        })
    }

    /// Credit that is neither spent nor spoken for, as far as the chain has been followed.
    #[must_use]
    pub fn spendable(&self) -> Amount {
        self.wallet.credit_at(&self.chain)
    }

    /// A transaction that waits here for a block.
    #[must_use]
    pub fn waiting(&self, id: &TxId) -> Option<Tx> {
        self.wallet.waiting(id).cloned()
    }

    /// The nonces of an account that what waits here will spend.
    #[must_use]
    pub fn nonces_of(&self, account: &AccountId) -> BTreeSet<u64> {
        self.wallet.nonces_of(account)
    }

    /// A nonce and expiry for a transaction that is signed with the words; `None` before the ledger
    /// knows the account.
    #[must_use]
    pub fn spare_auth(&self) -> Option<Auth> {
        self.wallet.spare(&self.chain, &self.me.params)
    }
}
