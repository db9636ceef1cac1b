//! Shards that the disk does not give back as they were stored. They are served to nobody. Loose
//! ones are dropped at once. Those in the active tree are declared lost: half of their collateral
//! is forfeited, which is less than being found out costs; until that has acted, no revision of the
//! contract is signed, because what would be signed would be void. Those that are co-signed but not
//! active yet wait for the boundary. `docs/protocol.md` §3.10 *A provider's loss*.

pub(crate) mod reducing;

use super::posting::submit;
use super::{Held, Provider};
use crate::ctx::Ctx;
use crate::io::{BulkEffect, Effect};
use crate::rows::{LossRow, LossTotals, ShardRow, Write};
use crate::wallet::Wallet;
use larder_contracts::{Revision, SignedLeaf};
use larder_ledger::{Loss, Op};
use larder_proofs::{ContentTree, ContractLeaf, ShardLeaf};
use larder_types::{ContractId, Epoch, Millis, ShardRoot, Signature};
use std::collections::BTreeSet;

/// Epochs that a co-signed shard which another's loss made loose rests before it may lapse.
const VOIDED_EPOCHS: u64 = 14;
/// Most shards of one contract that one update declares: with their paths they take at most
/// 240 KiB, which a transaction has room for. The others follow in the next epochs.
const MAX_LOST: usize = 128;

/// What is known of the damage among the stored shards.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    /// Damaged shards that a co-signed revision holds: they are declared, or will be.
    pub(crate) damaged: BTreeSet<ShardRoot>,
    /// Contracts of such shards that are to be looked at when the chain is current.
    due: BTreeSet<ContractId>,
    /// What there was in all.
    pub(crate) totals: LossTotals,
}

impl Losses {
    pub(crate) fn restore(totals: LossTotals) -> Self {
        Self {
            totals,
            ..Self::default()
        }
    }
}

impl Held {
    /// Whether a declared loss has not acted yet.
    pub(crate) fn is_losing(&self) -> bool {
        self.loss.as_ref().is_some_and(|loss| !loss.lost.is_empty())
    }

    /// Fills the list up with the holes that it ended in when the last loss was declared.
    pub(crate) fn restore_loss(&mut self, row: LossRow) {
        pad(&mut self.content, row.places);
        self.loss = Some(row);
    }

    /// The active tree: the list's beginning, or `None` if it is none of ours.
    fn active_tree(&self, active: &ContractLeaf) -> Option<ContentTree> {
        self.content
            .prefix_with_root(active.content_root, active.used_chunks)
    }

    /// What of the active tree is to be declared in `epoch`, if anything is. What was declared in
    /// it before a restart stays as it was: it may stand in a block already.
    fn loss_of(
        &self,
        epoch: Epoch,
        active: &ContractLeaf,
        damaged: &BTreeSet<ShardRoot>,
    ) -> Option<LossRow> {
        if let Some(said) = self.loss.as_ref().filter(|l| l.epoch == epoch) {
            return Some(said.clone()).filter(|_| self.is_losing());
        }
        let reducing = self.reducing().cloned();
        let Some(tree) = self.active_tree(active) else {
            return reducing;
        };
        let lost: Vec<u32> = (0..)
            .zip(tree.leaves())
            .filter(|(_, leaf)| damaged.contains(&leaf.root))
            .map(|(index, _)| index)
            .take(MAX_LOST)
            .collect();
        let revision = self.leaf().revision.max(active.revision).checked_add(1)?;
        // What is damaged is said first: what was taken back is asked for again.
        if lost.is_empty() {
            return reducing;
        }
        Some(LossRow {
            epoch,
            revision,
            places: tree.leaves().len() as u64,
            lost,
            reduction: None,
        })
    }

    /// The tree that a loss leaves, if it is the one that is active now.
    fn tree_after(&self, loss: &LossRow, active: &ContractLeaf) -> Option<ContentTree> {
        let places = usize::try_from(loss.places).ok()?;
        let before = self.content.leaves().get(..places)?;
        let mut tree = ContentTree::from_leaves(before.to_vec()).ok()?;
        for index in &loss.lost {
            tree.clear(*index)?;
        }
        let left = (tree.root(), tree.chunks(), tree.depth());
        (left == (active.content_root, active.used_chunks, active.depth)).then_some(tree)
    }

    /// The newest leaf is now the active one. The renter has signed no such leaf: its signature is
    /// blank, and the ledger stands for it.
    fn take_over(&mut self, ctx: &Ctx<'_>, active: &ContractLeaf) -> Revision {
        let signed = SignedLeaf {
            leaf: ContractLeaf {
                slash_acc: 0,
                unpaid_at_start: 0,
                ..*active
            },
            auth: None,
            by: None,
            sig_renter: Signature::default(),
        };
        let revision = signed.countersign(&ctx.me.node_key, &ctx.me.genesis);
        self.signed = revision.signed.clone();
        self.sig_provider = revision.sig_provider;
        self.posted = None;
        revision
    }
}

impl Provider {
    /// Stored shards of which no damage is known.
    pub(crate) fn sound(&self) -> impl Iterator<Item = ShardRoot> {
        let damaged = &self.losses.damaged;
        self.shards
            .keys()
            .filter(|root| !damaged.contains(root))
            .copied()
    }

    /// Whether a shard is stored, and no damage of it is known.
    pub(crate) fn is_sound(&self, root: &ShardRoot) -> bool {
        self.shards.contains_key(root) && !self.losses.damaged.contains(root)
    }

    /// The disk does not give these shards back as they were stored.
    pub(crate) fn damaged(&mut self, ctx: &mut Ctx<'_>, roots: &[ShardRoot]) {
        let mut rows = Vec::new();
        let mut gone = Vec::new();
        for root in roots {
            let Some((contract, leaf)) = self.shards.get(root).copied() else {
                continue;
            };
            let Some(held) = self.contracts.get_mut(&contract) else {
                continue;
            };
            if self.losses.damaged.contains(root) {
                continue;
            }
            self.losses.totals.damaged += 1;
            if held.loose.remove(root).is_some() {
                gone.push(*root);
            } else {
                self.losses.damaged.insert(*root);
                self.losses.due.insert(contract);
                let place = held.content.leaves().iter().position(|l| l.root == *root);
                let row = ShardRow {
                    contract,
                    leaf,
                    index: place.and_then(|i| u64::try_from(i).ok()),
                    damaged: true,
                };
                rows.push(Write::shard(root, Some(&row)));
            }
        }
        if gone.is_empty() && rows.is_empty() {
            return;
        }
        rows.push(Write::losses(&self.losses.totals));
        self.drop_shards(ctx, gone, rows);
    }

    /// Forgets shards, in one transaction with `rows`, and sends them to the trash.
    pub(crate) fn drop_shards(
        &mut self,
        ctx: &mut Ctx<'_>,
        roots: Vec<ShardRoot>,
        mut rows: Vec<Write>,
    ) {
        rows.extend(roots.iter().map(|root| Write::shard(root, None)));
        rows.extend(roots.iter().filter_map(|root| self.places.forget(root)));
        ctx.persist(rows);
        for root in roots {
            self.shards.remove(&root);
            self.losses.damaged.remove(&root);
            ctx.out.push(Effect::Bulk(BulkEffect::Drop { root }));
        }
    }

    /// Declares what is damaged in the active trees: once in each epoch and contract, until it has
    /// acted. Only to be called while the chain is current. Who is FAULTED cannot: its renters are
    /// about to go.
    pub(crate) fn declare(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet) {
        if self.faulted {
            return;
        }
        let epoch = ctx.chain.epoch;
        for id in std::mem::take(&mut self.losses.due) {
            let Some(held) = self.contracts.get_mut(&id) else {
                continue;
            };
            let Some(active) = held.active.filter(|_| held.declared != Some(epoch)) else {
                continue;
            };
            // What ends at the coming boundary anyway is not worth a loss.
            if active.end_epoch <= epoch + 1 {
                continue;
            }
            let Some(row) = held.loss_of(epoch, &active, &self.losses.damaged) else {
                continue;
            };
            let Some(op) = declaration(id, held, &active, &row) else {
                continue;
            };
            held.declared = Some(epoch);
            ctx.persist(vec![Write::loss(&id, Some(&row))]);
            held.loss = Some(row);
            submit(ctx, wallet, vec![op]);
        }
    }

    /// An epoch has begun: what was declared has acted or not, which the active leaf shows; and
    /// what is damaged and active now is due.
    pub(crate) fn settle_losses(&mut self, ctx: &mut Ctx<'_>) {
        let losing: Vec<ContractId> = self
            .contracts
            .iter()
            .filter(|(_, held)| held.is_losing())
            .map(|(id, _)| *id)
            .collect();
        for id in losing {
            self.settle_loss(ctx, &id);
        }
        let due = self.losses.damaged.iter();
        let due = due.filter_map(|root| self.shards.get(root).map(|(contract, _)| *contract));
        self.losses.due = due.collect();
        self.reduce_again(ctx);
    }

    /// The lost shards go to the trash. What was co-signed beyond the active tree is void: those
    /// shards are loose again, and as old as this.
    fn settle_loss(&mut self, ctx: &mut Ctx<'_>, id: &ContractId) {
        let Some(held) = self.contracts.get_mut(id) else {
            return;
        };
        let (Some(loss), Some(active)) = (held.loss.clone(), held.active) else {
            return;
        };
        if active.revision != loss.revision {
            return;
        }
        let Some(tree) = held.tree_after(&loss, &active) else {
            return;
        };
        let old = std::mem::replace(&mut held.content, tree);
        let (before, beyond) = old.leaves().split_at(held.content.leaves().len());
        let lost = loss.lost.iter().filter_map(|i| before.get(*i as usize));
        let mut gone: Vec<ShardRoot> = lost.map(|leaf| leaf.root).collect();
        let revision = if let Some(reduction) = &loss.reduction {
            let revision = reduction
                .signed
                .clone()
                .countersign(&ctx.me.node_key, &ctx.me.genesis);
            held.signed = revision.signed.clone();
            held.sig_provider = revision.sig_provider;
            held.posted = None;
            revision
        } else {
            self.losses.totals.declared += gone.len() as u64;
            held.take_over(ctx, &active)
        };
        let acted = LossRow {
            lost: Vec::new(),
            reduction: None,
            ..loss
        };
        let mut rows = vec![
            Write::held(id, Some(&revision)),
            Write::loss(id, Some(&acted)),
            Write::losses(&self.losses.totals),
        ];
        held.loss = Some(acted);
        for leaf in beyond {
            if self.losses.damaged.contains(&leaf.root) {
                gone.push(leaf.root);
                continue;
            }
            // The renter holds our signature for it, and may be away: it does not lapse soon.
            let since = ctx.now.after(Millis(VOIDED_EPOCHS * ctx.me.params.epoch.0));
            held.loose.insert(leaf.root, (*leaf, Some(since)));
            let row = ShardRow::loose(*id, *leaf);
            rows.push(Write::shard(&leaf.root, Some(&row)));
        }
        self.urgent.remove(id);
        self.drop_shards(ctx, gone, rows);
    }
}

fn declaration(id: ContractId, held: &Held, active: &ContractLeaf, row: &LossRow) -> Option<Op> {
    if let Some(reduction) = &row.reduction {
        return Some(Op::Reduce(Box::new(reduction.clone())));
    }
    let lost = row.lost.iter().copied().collect();
    Some(Op::DeclareLoss(Loss {
        contract: id,
        revision: row.revision,
        shards: held.active_tree(active)?.lost_shards(&lost)?,
    }))
}

/// Adds holes until the list has this many places.
pub(crate) fn pad(content: &mut ContentTree, places: u64) {
    while (content.leaves().len() as u64) < places {
        content
            .push(ShardLeaf::EMPTY)
            .expect("a hole weighs nothing, and the place was there before");
    }
}

#[cfg(test)]
#[path = "losses/tests.rs"]
mod tests;
