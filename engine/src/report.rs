//! What the engine knows, for people and programs that ask: plain values, copied.

use crate::Engine;
use larder_coding::Code;
use larder_contracts::SignedOffer;
use larder_proofs::ContractLeaf;
use larder_types::{Amount, Class, ContractId, NodeId, SegmentId, ShardRoot, Time};

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
}

/// A segment that is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHealth {
    /// Which.
    pub segment: SegmentId,
    /// Its code.
    pub code: Code,
    /// Positions that providers hold.
    pub alive: u16,
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
}

/// Most segments named in one report.
const MAX_NAMED: usize = 1_000;

/// What the provider's side holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProviderReport {
    /// Quota, bytes.
    pub quota: u64,
    /// Bought capacity, bytes.
    pub sold: u64,
    /// Bytes stored.
    pub used: u64,
    /// Shards stored.
    pub shards: u64,
    /// Contracts.
    pub contracts: u64,
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
            });
        rented.chain(held).collect()
    }

    /// How the stored segments stand.
    #[must_use]
    pub fn segments(&self) -> SegmentsReport {
        let mut report = SegmentsReport::default();
        for row in self.renter.segments.values() {
            let held = row.holders.iter().flatten().count() as u64;
            report.segments += 1;
            report.below_full += u64::from(held < row.holders.len() as u64);
            report.lost += u64::from(!row.roots.is_empty() && held < u64::from(row.code.k()));
            report.bytes_stored += held * row.shard_len;
        }
        report
    }

    /// The segments that are not whole, worst first.
    #[must_use]
    pub fn below_full(&self) -> Vec<SegmentHealth> {
        let mut health: Vec<SegmentHealth> = self
            .renter
            .segments
            .iter()
            .map(|(id, row)| SegmentHealth {
                segment: *id,
                code: row.code,
                alive: u16::try_from(row.holders.iter().flatten().count()).unwrap_or(u16::MAX),
            })
            .filter(|h| h.alive < h.code.n())
            .collect();
        health.sort_by_key(|h| (i32::from(h.alive) - i32::from(h.code.k()), h.segment));
        health.truncate(MAX_NAMED);
        health
    }

    /// The segments that are being placed: what the spool must keep.
    #[must_use]
    pub fn uploading(&self) -> Vec<SegmentId> {
        self.renter.uploads.keys().copied().collect()
    }

    /// The shards that the provider's side answers for: what the shard store must keep.
    #[must_use]
    pub fn stored_shards(&self) -> Vec<ShardRoot> {
        self.provider
            .iter()
            .flat_map(|p| p.shards.keys().copied())
            .collect()
    }

    /// The segments that can be fetched.
    #[must_use]
    pub fn known_segments(&self) -> Vec<SegmentReport> {
        self.renter
            .segments
            .iter()
            .filter(|(_, row)| !row.roots.is_empty())
            .map(|(id, row)| SegmentReport {
                segment: *id,
                class: row.class,
                meta: row.meta,
                catalogue: row.catalogue,
            })
            .collect()
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
            shards: provider.shards.len() as u64,
            contracts: provider.contracts.len() as u64,
        })
    }

    /// Credit that is neither spent nor spoken for, as far as the chain has been followed.
    #[must_use]
    pub fn spendable(&self) -> Amount {
        self.wallet.spendable_at(&self.chain)
    }
}
