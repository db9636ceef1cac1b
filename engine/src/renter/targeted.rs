//! Who leaves its renter's audits unanswered, or answered one falsely, while it passes for the
//! ledger: the ledger is asked to look at that one contract (T3). T2 finds, T3 proves. Of what
//! follows the ledger alone decides: a contract that it faults is lost with all that it holds, like
//! one with a FAULTED provider, and closed; silence towards us is no loss. Fees are nano.
//! `docs/protocol.md` §3.6, §3.7.

use super::Renter;
use super::audits::is_auditable;
use super::lease::Lease;
use crate::ctx::Ctx;
use crate::rows::{AskedRow, Write};
use crate::view::RentedView;
use crate::wallet::Wallet;
use larder_ledger::targeted::MOST_DRAWS;
use larder_ledger::{May, Targeted, Tx};
use larder_proofs::ContractLeaf;
use larder_types::{Amount, ContractId, Epoch, NodeId};
use std::collections::BTreeMap;

/// A question costs at most one … of what the contract still binds for us, which is what it can
/// bring back: pay that is not earned yet, and collateral.
const STAKE_SHARE: u128 = 4;
/// The next question comes two epochs after the first, when its verdict is known, then after twice
/// as many each time, up to 2^5: who answers the ledger and not us must not cost a fee each epoch.
const DOUBLINGS: u32 = 5;
/// With who lost a contract by a question nothing is opened for so many epochs: the ledger remembers
/// misses as long.
const SHUNNED: Epoch = 30;

/// What the ledger was asked of single contracts, by provider: there is one contract with each.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    rows: BTreeMap<NodeId, AskedRow>,
}

impl Asked {
    /// Takes durable rows up again.
    pub(crate) fn restore(&mut self, rows: Vec<(NodeId, AskedRow)>) {
        self.rows = rows.into_iter().collect();
    }

    /// Whether nothing is opened with a provider because it lost a contract of ours.
    pub(crate) fn is_shunned(&self, provider: &NodeId) -> bool {
        let row = self.rows.get(provider);
        row.is_some_and(|row| row.faulted.is_some())
    }

    /// It answers our audits again: what was asked of it is forgotten, unless it lost its contract.
    pub(crate) fn answers(&mut self, provider: &NodeId) -> Option<Write> {
        let asked = self.rows.get(provider)?;
        if asked.faulted.is_some() {
            return None;
        }
        self.rows.remove(provider);
        Some(Write::asked(provider, None))
    }

    /// Whether a contract may be asked for in this epoch, after what was asked before.
    fn may(&self, provider: &NodeId, contract: &ContractId, epoch: Epoch) -> bool {
        let row = self
            .rows
            .get(provider)
            .filter(|row| row.contract == *contract);
        row.is_none_or(|row| {
            let rests = 1 << row.times.min(DOUBLINGS);
            row.faulted.is_none() && epoch >= row.epoch.saturating_add(rests)
        })
    }

    /// A contract is being asked for.
    fn note(&mut self, provider: &NodeId, contract: &ContractId, epoch: Epoch) -> Write {
        let old = self
            .rows
            .get(provider)
            .filter(|row| row.contract == *contract);
        let row = AskedRow {
            contract: *contract,
            epoch,
            times: old.map_or(0, |row| row.times).saturating_add(1),
            faulted: None,
        };
        self.rows.insert(*provider, row);
        Write::asked(provider, Some(&row))
    }
}

impl Renter {
    /// An epoch has begun: which contracts the ledger found faulted by themselves, and of whom there
    /// is nothing to remember any more.
    pub(super) fn note_faulted(
        &mut self,
        ctx: &mut Ctx<'_>,
        rented: &BTreeMap<ContractId, RentedView>,
    ) {
        let epoch = ctx.chain.epoch;
        let mut rows = Vec::new();
        for (contract, view) in rented.iter().filter(|(_, view)| view.faulted_alone) {
            let row = self.asked.rows.entry(view.provider).or_insert(AskedRow {
                contract: *contract,
                epoch,
                times: 0,
                faulted: None,
            });
            if row.faulted.is_none() {
                row.faulted = Some(epoch);
                rows.push(Write::asked(&view.provider, Some(row)));
            }
        }
        let leases = &self.leases;
        self.asked.rows.retain(|provider, row| {
            let stays = match row.faulted {
                Some(since) => epoch < since.saturating_add(SHUNNED),
                None => leases.contains_key(&row.contract),
            };
            if !stays {
                rows.push(Write::asked(provider, None));
            }
            stays
        });
        ctx.persist(rows);
    }

    /// An epoch has begun: the ledger is asked about those who pass for it and show us nothing.
    pub(super) fn ask_ledger(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet) {
        if !ctx.chain.is_current(&ctx.me.params, ctx.now) {
            return;
        }
        let epoch = ctx.chain.epoch;
        let due = self.leases.iter().filter(|(id, lease)| {
            lease.of.is_none()
                && lease.passes_for_the_ledger()
                && self.audits.is_unproven(&lease.provider, epoch)
                && self.asked.may(&lease.provider, id, epoch)
                && !wallet.is_asking(id)
        });
        let due: Vec<(ContractId, NodeId, ContractLeaf)> = due
            .filter_map(|(id, lease)| Some((*id, lease.provider, lease.active?)))
            .collect();
        for (id, provider, leaf) in due {
            let Some(tx) = question(ctx, wallet, &leaf) else {
                continue;
            };
            let row = self.asked.note(&provider, &id, epoch);
            self.audits.is_dealt_with(&provider);
            // Before the question: a restart between the two asks later, never twice.
            ctx.persist(vec![row]);
            wallet.queue_durable(ctx, tx);
        }
    }
}

impl Lease {
    /// Whether there is something to ask for, and its provider misses nothing: where it does, the
    /// ledger's own strikes follow.
    fn passes_for_the_ledger(&self) -> bool {
        is_auditable(self) && self.is_agreed() && self.misses == 0 && self.passed_lately
    }
}

/// The question for a contract, if it is worth its fee and our key may pay it.
fn question(ctx: &Ctx<'_>, wallet: &mut Wallet, leaf: &ContractLeaf) -> Option<Tx> {
    let (me, each) = (ctx.me, ctx.me.params.draw_fee);
    let draws = draws(leaf, ctx.chain.epoch, each)?;
    let fee = each.checked_mul(u64::from(draws))?;
    let who = (&me.account(), me.ledger_key.by());
    if fee > wallet.spendable(ctx) || ctx.permit(who, May::ADD, fee).is_err() {
        return None;
    }
    let auth = wallet.reserve(ctx)?;
    let contract = leaf.contract_id;
    let asked = Targeted::sign(&me.ledger_key, contract, draws, fee, auth, &me.genesis);
    Some(Tx::Targeted(asked))
}

/// As many draws as the ledger takes and the contract is worth, at `each` nano; `None`: not one.
fn draws(leaf: &ContractLeaf, epoch: Epoch, each: Amount) -> Option<u8> {
    // The epoch in which it is asked is the one after.
    let left = leaf.end_epoch.checked_sub(epoch.saturating_add(1))?;
    let unearned = u128::from(leaf.rate.nano()) * u128::from(left);
    let stake = u128::from(leaf.collateral.nano()) + unearned;
    let most = u128::from(MOST_DRAWS);
    let worth = (stake / STAKE_SHARE).checked_div(u128::from(each.nano()));
    let draws = u8::try_from(worth.unwrap_or(most).min(most)).ok()?;
    (draws > 0 && left > 0).then_some(draws)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_never_dearer_than_a_quarter_of_what_is_at_stake() {
        let leaf = |rate, collateral| ContractLeaf {
            rate: Amount(rate),
            collateral: Amount(collateral),
            end_epoch: 14,
            ..ContractLeaf::default()
        };
        let asked = |leaf: &ContractLeaf, epoch| draws(leaf, epoch, Amount(1_000));
        assert_eq!(asked(&leaf(1_000_000, 0), 3), Some(MOST_DRAWS));
        assert_eq!(asked(&leaf(2_000, 0), 3), Some(5), "10 epochs, 20,000 nano");
        assert_eq!(asked(&leaf(300, 5_000), 3), Some(2));
        assert_eq!(asked(&leaf(300, 0), 3), None, "3,000 nano");
        assert_eq!(
            asked(&leaf(1_000_000, 0), 13),
            None,
            "it ends before it is asked"
        );
        assert_eq!(asked(&leaf(1_000_000, 0), 20), None);
        assert_eq!(draws(&leaf(1, 0), 3, Amount(0)), Some(MOST_DRAWS), "free");
    }
}
