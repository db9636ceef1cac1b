//! What the provider puts on the ledger: money terms at once, content once per epoch shortly
//! before it ends, closes of what has run out. `docs/protocol.md` §3.3 *Operations*.

use super::Provider;
use crate::ctx::{Ctx, Identity};
use crate::view::{ActiveView, BlockInput};
use crate::wallet::Wallet;
use larder_contracts::same_money;
use larder_ledger::{Op, TreeUpdate, Tx};
use larder_proofs::ContractLeaf;
use larder_types::{ContractId, Epoch, Millis, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Content is posted when this share of the epoch (one in …) is left, but within these bounds.
const POST_LEAD: u64 = 6;
const POST_LEAD_BOUNDS: (u64, u64) = (600, 600_000);
/// An acknowledged shard waits at least so long for its revision, ms.
const LOOSE_LIFE: u64 = 600_000;
/// Most operations in one TreeUpdate.
const MAX_OPS: usize = 128;

impl Provider {
    /// A block has come.
    pub(crate) fn block(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet, block: &BlockInput) {
        self.free_collateral = block.provider.map(|p| p.free);
        self.faulted = block.provider.is_some_and(|p| p.faulted);
        self.capacity_most = block.provider.map_or(0, |p| p.capacity_most);
        self.register(ctx, wallet);
        if let Some(active) = &block.active {
            self.epoch(ctx, wallet, active);
        }
        for (id, revision) in &block.posted {
            if let Some(held) = self.contracts.get_mut(id) {
                held.posted = Some((ctx.chain.epoch, *revision));
            }
        }
        if let Some(challenge) = &block.challenge {
            self.challenged(ctx, None, challenge);
        }
        for (contract, challenge) in &block.targeted {
            self.challenged(ctx, Some(*contract), challenge);
        }
        self.accuse(ctx, wallet, &block.withheld);
        self.offer_if_due(ctx);
        self.post(ctx, wallet);
    }

    /// An epoch has begun: what is active is what we answer for and are paid for.
    fn epoch(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet, active: &ActiveView) {
        let now_active: BTreeMap<ContractId, ContractLeaf> = active
            .held
            .iter()
            .map(|(_, leaf)| (leaf.contract_id, *leaf))
            .collect();
        let epoch = ctx.chain.epoch;
        let mut gone = BTreeSet::new();
        for (id, held) in &mut self.contracts {
            let was = held.active.take();
            held.active = now_active.get(id).copied();
            // Closed on the ledger, or never opened: one epoch of grace for a new proposal.
            let never = was.is_none() && held.leaf().start_epoch < epoch;
            if held.active.is_none() && (was.is_some() || never) {
                gone.insert(*id);
            }
        }
        for id in gone {
            self.forget(ctx, &id);
        }
        self.settle_losses(ctx);
        self.drop_stale(ctx);
        self.tend_heads(ctx);
        self.tend_revoked(ctx);
        self.audits.epoch();
        self.commit_to(active);
        self.close_expired(ctx, wallet, &now_active);
        self.offer_changed(ctx);
    }

    /// An acknowledged shard that no revision names in time lapses: the renter has placed it
    /// elsewhere. `docs/protocol.md` §3.10.
    fn drop_stale(&mut self, ctx: &mut Ctx<'_>) {
        let life = Millis((2 * ctx.me.params.epoch.0).max(LOOSE_LIFE));
        let mut stale = Vec::new();
        for held in self.contracts.values_mut() {
            held.loose.retain(|root, (_, since)| {
                let since = *since.get_or_insert(ctx.now);
                let keep = ctx.now < since.after(life);
                if !keep {
                    stale.push(*root);
                }
                keep
            });
        }
        self.drop_shards(ctx, stale, Vec::new());
    }

    /// Whether the chain has been followed up to the present; before, its duties are past.
    fn is_current(ctx: &Ctx<'_>) -> bool {
        ctx.chain.live && ctx.me.schedule.epoch_at(ctx.now) <= ctx.chain.epoch
    }

    /// Posts what is due: money terms that could become active at the next boundary, and, late in
    /// the epoch, every newer content.
    pub(crate) fn post(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet) {
        if !Self::is_current(ctx) || self.free_collateral.is_none() {
            return;
        }
        self.declare(ctx, wallet);
        let epoch = ctx.chain.epoch;
        let content_due = ctx.now >= post_at(ctx.me, epoch) && self.posted_epoch != Some(epoch);
        if !content_due && self.urgent.is_empty() {
            return;
        }
        let mut ops = Vec::new();
        for (id, held) in &self.contracts {
            let money = held
                .active
                .is_none_or(|active| !same_money(&active, held.leaf()));
            let posted = held.posted == Some((epoch, held.leaf().revision));
            let newer = held
                .active
                .is_none_or(|active| active.revision < held.leaf().revision);
            let fits = !money || held.leaf().start_epoch == epoch + 1;
            let due = content_due || (self.urgent.contains(id) && money);
            // What was signed before a loss is void once the loss acts.
            if newer && fits && due && !posted && !held.is_losing() {
                ops.push(Op::Put(held.signed.clone()));
            }
        }
        self.urgent.retain(|id| {
            self.contracts
                .get(id)
                .is_some_and(|held| held.leaf().start_epoch > epoch + 1)
        });
        if content_due {
            self.posted_epoch = Some(epoch);
        }
        submit(ctx, wallet, ops);
    }

    fn close_expired(
        &self,
        ctx: &mut Ctx<'_>,
        wallet: &mut Wallet,
        active: &BTreeMap<ContractId, ContractLeaf>,
    ) {
        if !Self::is_current(ctx) {
            return;
        }
        let ops = active
            .values()
            .filter(|leaf| leaf.end_epoch <= ctx.chain.epoch + 1)
            .map(|leaf| Op::CloseExpired(leaf.contract_id))
            .collect();
        submit(ctx, wallet, ops);
    }
}

/// When an epoch's content is posted.
pub(crate) fn post_at(me: &Identity, epoch: Epoch) -> Time {
    let lead = me.params.epoch.0 / POST_LEAD;
    let lead = lead.clamp(POST_LEAD_BOUNDS.0.min(lead), POST_LEAD_BOUNDS.1);
    me.schedule.epoch_start(epoch + 1).before(Millis(lead))
}

pub(crate) fn submit(ctx: &mut Ctx<'_>, wallet: &mut Wallet, ops: Vec<Op>) {
    for ops in ops.chunks(MAX_OPS) {
        let me = ctx.me;
        let tx = TreeUpdate::sign(&me.node_key, ctx.chain.epoch, ops.to_vec(), &me.genesis);
        wallet.queue_for_epoch(ctx, Tx::TreeUpdate(tx), ctx.chain.epoch);
    }
    wallet.flush(ctx);
}
