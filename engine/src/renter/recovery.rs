//! A keeper that comes back with nothing but its words. Heads and catalogues say which segments
//! there are, the ledger says which contracts, and each provider's tree which shards it answers
//! for: a position is held where its root stands. `docs/protocol.md` §3.9.

use super::Renter;
use super::lease::Lease;
use crate::ctx::Ctx;
use crate::head::{DeviceId, SegmentEntry, SignedHead};
use crate::rows::{RentedRow, SegmentRow, Write};
use crate::standing::RecoveryState;
use crate::view::RentedView;
use crate::wallet::Wallet;
use larder_contracts::SignedLeaf;
use larder_proofs::ContractLeaf;
use larder_types::{ContractId, SegmentId, ShardRoot, Signature, Time};
use std::collections::{BTreeMap, BTreeSet};

impl Renter {
    /// The heads were found: their segments are ours again, and our next head goes above theirs.
    /// The devices that made them have a while to show that they live; unless none is in use
    /// (`alone`).
    pub(crate) fn recovered(
        &mut self,
        ctx: &mut Ctx<'_>,
        wallet: &mut Wallet,
        heads: Vec<SignedHead>,
        alone: bool,
    ) {
        let seq = heads.iter().map(|head| head.seq).max().unwrap_or(0);
        self.heads.seq = self.heads.seq.max(seq);
        let mut rows = vec![self.heads.row()];
        for signed in heads {
            if signed.cert.device_pk == ctx.me.device_key.public() {
                rows.extend(self.own_again(ctx, &signed));
            } else {
                let device = signed.device();
                self.merge(ctx, wallet, signed);
                self.doubt(ctx, &device);
            }
        }
        ctx.persist(rows);
        if alone || !self.is_doubting() {
            self.alone(ctx);
        }
        self.heads.start_over(ctx.now);
    }

    /// What this device's own head said, before its home was lost in part.
    fn own_again(&mut self, ctx: &Ctx<'_>, signed: &SignedHead) -> Vec<Write> {
        let (account, net) = (ctx.me.account(), &ctx.me.genesis);
        let Ok(head) = signed.open(&ctx.me.recovery, &account, net) else {
            return Vec::new();
        };
        let ids: Vec<SegmentId> = head.segments.iter().map(|e| e.manifest.segment).collect();
        let mut rows = self.know(head.segments, false, None);
        let open = |id: &SegmentId| self.segments.get(id).is_some_and(|row| !row.listed);
        let named: Vec<SegmentId> = ids.into_iter().filter(open).collect();
        self.heads.named.extend(named);
        rows.push(self.heads.row());
        rows
    }

    /// A catalogue was read: what it lists is its device's.
    pub(crate) fn known(
        &mut self,
        ctx: &mut Ctx<'_>,
        catalogue: &SegmentId,
        entries: Vec<SegmentEntry>,
    ) {
        let of = self.segments.get(catalogue).and_then(|row| row.of);
        let rows = self.know(entries, true, of);
        ctx.persist(rows);
    }

    /// Takes descriptions of segments over, and finds who holds them. What we know already stays
    /// as it is.
    pub(super) fn know(
        &mut self,
        entries: Vec<SegmentEntry>,
        listed: bool,
        of: Option<DeviceId>,
    ) -> Vec<Write> {
        let at = self.places();
        let mut changed = BTreeSet::new();
        for entry in entries {
            let id = entry.manifest.segment;
            if let Some(row) = self.segments.get_mut(&id) {
                // Where nobody looks after it any more, or its device let another take it.
                if row.of.is_some() && row.of != of && of.is_some() {
                    row.of = of;
                    changed.insert(id);
                }
                if listed && !row.listed && row.of == of {
                    row.listed = true;
                    self.heads.named.remove(&id);
                    changed.insert(id);
                }
                continue;
            }
            if entry.manifest.check().is_ok() {
                self.segments.insert(id, row_of(entry, listed, of, &at));
                changed.insert(id);
            }
        }
        self.holders_changed(&changed);
        changed.iter().map(|id| self.segment_write(id)).collect()
    }

    /// Under which contract each shard stands that a provider answers for.
    fn places(&self) -> BTreeMap<ShardRoot, ContractId> {
        let leaves = self.readable_leases().flat_map(|(id, lease)| {
            let sound = lease.content.leaves().iter().filter(|l| l.is_sound());
            sound.map(|leaf| (leaf.root, *id))
        });
        leaves.collect()
    }

    /// Contracts of the account that the ledger holds and we do not know: another device's, of
    /// whose head we do not know yet, or of one that was lost.
    pub(crate) fn take_on(&mut self, ctx: &mut Ctx<'_>, rented: &[RentedView]) {
        let mut rows = Vec::new();
        for view in rented {
            let id = view.leaf.contract_id;
            if self.leases.contains_key(&id) || view.leaf.renter != ctx.me.account() {
                continue;
            }
            let row = RentedRow {
                provider: view.provider,
                signed: unsigned(&view.leaf),
                sig_provider: None,
                opened: true,
                tried: None,
                of: self.finder(),
                claim: 0,
            };
            rows.push(Write::rented(&id, Some(&row)));
            self.leases.insert(id, Lease::restore(row));
        }
        ctx.persist(rows);
    }

    /// How far a recovery has come.
    pub(crate) fn recovery_state(&self, now: Time) -> RecoveryState {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let unknown = || {
            self.leases
                .values()
                .filter(|l| !l.tree_is_known() && !l.faulted)
        };
        let mut state = RecoveryState {
            contracts: count(self.leases.len()),
            trees: count(self.leases.len() - unknown().count()),
            unreachable: unknown()
                .map(|l| l.provider)
                .filter(|provider| self.in_trouble(provider, now))
                .collect(),
            settled: self.informed && unknown().next().is_none(),
            ..RecoveryState::default()
        };
        let mut ours: BTreeSet<ShardRoot> = BTreeSet::new();
        for row in self.segments.values().filter(|row| !row.roots.is_empty()) {
            ours.extend(&row.roots);
            if row.dropped {
                continue;
            }
            let held = row.holders.iter().flatten().count();
            state.segments += 1;
            state.restorable += u64::from(held >= usize::from(row.code.k()));
            state.positions += row.holders.len() as u64;
            state.found += held as u64;
        }
        let leaves = self.leases.values().flat_map(|l| l.content.leaves());
        let strange = leaves.filter(|l| l.is_sound() && !ours.contains(&l.root));
        state.strangers = strange.count() as u64;
        state
    }
}

/// A leaf that the ledger holds: its standing is its signature.
fn unsigned(leaf: &ContractLeaf) -> SignedLeaf {
    SignedLeaf {
        leaf: ContractLeaf {
            slash_acc: 0,
            unpaid_at_start: 0,
            ..*leaf
        },
        auth: None,
        by: None,
        sig_renter: Signature::default(),
    }
}

fn row_of(
    entry: SegmentEntry,
    listed: bool,
    of: Option<DeviceId>,
    at: &BTreeMap<ShardRoot, ContractId>,
) -> SegmentRow {
    let manifest = entry.manifest;
    SegmentRow {
        class: entry.class,
        meta: entry.meta,
        code: manifest.code,
        len: manifest.segment_len,
        shard_len: manifest.shard_len,
        holders: manifest.roots.iter().map(|r| at.get(r).copied()).collect(),
        roots: manifest.roots,
        spooled: Vec::new(),
        catalogue: entry.catalogue,
        listed,
        denied: Vec::new(),
        dropped: false,
        of,
    }
}
