//! What readers owe a provider: a voucher that it posts is settled where its contract is revised, closed
//! or moved at the same boundary, out of the contract's deposit. `docs/protocol.md` §3.4, §3.9.

use crate::check::Place;
use crate::pay::Fee;
use crate::provider::Provider;
use crate::{Deed, Event, May, Skip, State, TxRefusal};
use larder_contracts::{Voucher, egress};
use larder_proofs::ContractLeaf;
use larder_types::{Amount, Epoch, NodeId, Time};

impl State {
    /// Whether a voucher is one for this provider's active contract, as things stand, and more than what
    /// is paid.
    pub(crate) fn check_voucher(
        &self,
        provider: &NodeId,
        voucher: &Voucher,
        place: Place,
    ) -> Result<(), TxRefusal> {
        let contract = self.contract(&voucher.contract);
        let (_, holder, leaf) = contract.ok_or(TxRefusal::NoContract)?;
        if holder != *provider || voucher.provider != *provider {
            return Err(TxRefusal::NoContract);
        }
        self.check_terms(voucher, leaf, place.epoch, place.time)
    }

    fn check_terms(
        &self,
        voucher: &Voucher,
        leaf: &ContractLeaf,
        epoch: Epoch,
        time: Time,
    ) -> Result<(), TxRefusal> {
        if voucher.reader != leaf.renter {
            return Err(TxRefusal::NotTheRenter);
        }
        if voucher.nonce != u64::from(leaf.start_epoch) {
            return Err(TxRefusal::Voucher);
        }
        let most = egress(leaf.egress_price, voucher.bytes_total);
        if voucher.credits_total > most {
            let credits = voucher.credits_total;
            return Err(TxRefusal::Dear { credits, most });
        }
        // The deposit left the account within the cap of whoever signed the terms: it does not count
        // against a cap again. But a key that may spend nothing owes nothing either.
        let deed = |need| Deed {
            need,
            amount: Amount::ZERO,
            epoch,
            time,
        };
        let keys = self.sub_keys();
        keys.permit(&voucher.reader, voucher.by, &deed(May::NOTHING))?;
        let spends = May::EACH.iter().any(|verb| {
            keys.permit(&voucher.reader, voucher.by, &deed(*verb))
                .is_ok()
        });
        if !spends {
            return Err(TxRefusal::SubKey(crate::SubKeyError::Verb));
        }
        Ok(())
    }
}

/// The voucher of one contract at a boundary, and whether it was settled.
#[derive(Debug)]
pub(crate) struct Till<'a> {
    voucher: Option<&'a Voucher>,
    settled: Option<Event>,
}

impl<'a> Till<'a> {
    pub(crate) const fn new(voucher: Option<&'a Voucher>) -> Self {
        Self {
            voucher,
            settled: None,
        }
    }

    /// What the voucher's total exceeds what is paid by, at most what is left of the deposit. Nothing
    /// without a voucher, or with one that is not for these terms.
    pub(crate) fn due(&self, state: &State, provider: &NodeId, leaf: &ContractLeaf) -> Amount {
        let began = state.schedule().epoch_start(state.epoch);
        let good = self.voucher.filter(|voucher| {
            let terms = state.check_terms(voucher, leaf, state.epoch, began);
            voucher.provider == *provider && terms.is_ok()
        });
        let total = good.map_or(Amount::ZERO, |voucher| voucher.credits_total);
        let payable = total.min(leaf.egress_deposit);
        payable.saturating_sub(leaf.egress_paid)
    }

    /// What is due leaves escrow in `record`, and the leaf that is given counts it.
    pub(crate) fn settle(
        &self,
        state: &State,
        record: &mut Provider,
        leaf: &ContractLeaf,
    ) -> Result<(ContractLeaf, Amount), Skip> {
        let due = self.due(state, &record.node, leaf);
        record.escrow = record.escrow.checked_sub(due).ok_or(Skip::Overflow)?;
        Ok((counted(leaf, due)?, due))
    }

    /// Pays what was settled, once the records are in place. It bears the fee that pay bears, and does not
    /// vest: what was read was served.
    pub(crate) fn pay(
        &mut self,
        state: &mut State,
        provider: &NodeId,
        leaf: &ContractLeaf,
        due: Amount,
    ) {
        let Some(payout) = state.provider(provider).map(|record| record.payout) else {
            return;
        };
        if due == Amount::ZERO {
            return;
        }
        let fee = Fee::of(due, &state.params).expect("a share of an amount fits");
        state.give(&payout, due.saturating_sub(fee.fee));
        state.collect(fee);
        self.settled = Some(Event::EgressPaid {
            provider: *provider,
            renter: leaf.renter,
            contract: leaf.contract_id,
            amount: due,
            fee: fee.fee,
        });
    }

    /// What became of the voucher, if there was one.
    pub(crate) fn outcome(self) -> Option<Result<Event, Skip>> {
        let settled = self.settled.ok_or(Skip::Voucher);
        self.voucher.map(|_| settled)
    }
}

/// A leaf in which `due` more is paid.
pub(crate) fn counted(leaf: &ContractLeaf, due: Amount) -> Result<ContractLeaf, Skip> {
    let egress_paid = leaf.egress_paid.checked_add(due).ok_or(Skip::Overflow)?;
    Ok(ContractLeaf {
        egress_paid,
        ..*leaf
    })
}
