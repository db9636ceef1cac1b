//! What transactions cost by their length. Half is burned, rounded up, the rest goes to who made the block. Who
//! pays: the account that signs; a provider out of its free collateral, beyond what is free in each
//! epoch; for a revision that is forced the renter. Free are the faucet's grant, what only gives an
//! account its own back, delegations, what validators decide among themselves, and evidence. `docs/protocol.md` §3.12.

use crate::check::Place;
use crate::pay::Fee;
use crate::{Deed, ForceRevision, May, Provider, State, Tx, TxRefusal};
use larder_types::{Amount, NodeId};

/// Bytes of a provider's transactions that are free in each epoch: about ten Opens.
pub const FREE_BYTES: u32 = 4 << 10;

impl State {
    fn per_byte(&self, bytes: usize) -> Amount {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let fee = self.params.tx_fee_per_byte.checked_mul(bytes);
        fee.unwrap_or(Amount(u64::MAX))
    }

    /// What a transaction costs whoever signs it.
    #[must_use]
    pub fn fee(&self, tx: &Tx) -> Amount {
        self.fee_of(tx, tx.size())
    }

    /// What a transaction of `bytes` costs whoever signs it.
    pub(crate) fn fee_of(&self, tx: &Tx, bytes: usize) -> Amount {
        match tx {
            Tx::Faucet(_)
            | Tx::TreeUpdate(_)
            | Tx::Maintenance(_)
            | Tx::CloseFaulted(_)
            | Tx::CloseByRenter(_)
            | Tx::Delegate(_)
            | Tx::Revoke(_)
            | Tx::Approve(_)
            | Tx::Resign(_)
            | Tx::Equivocation(_)
            | Tx::Censored(_) => Amount::ZERO,
            Tx::Transfer(_)
            | Tx::Register(_)
            | Tx::Deposit(_)
            | Tx::ForceRevision(_)
            | Tx::Targeted(_)
            | Tx::Vouch(_)
            | Tx::Leave(_)
            | Tx::Candidacy(_)
            | Tx::Withdraw(_) => self.per_byte(bytes),
        }
    }

    /// What a provider's transaction of `bytes` costs it, and how much it has sent in the epoch with it.
    fn postage(&self, record: &Provider, bytes: usize, place: Place) -> (Amount, u32) {
        if self.params.tx_fee_per_byte == Amount::ZERO {
            return (Amount::ZERO, record.sent);
        }
        let before = match place.epoch == self.epoch {
            true => record.sent,
            false => 0,
        };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let after = before.saturating_add(bytes);
        let beyond = after.saturating_sub(before.max(FREE_BYTES));
        (self.per_byte(beyond as usize), after)
    }

    pub(crate) fn check_postage(
        &self,
        provider: &NodeId,
        bytes: usize,
        place: Place,
    ) -> Result<(), TxRefusal> {
        let record = self.provider(provider).ok_or(TxRefusal::Unregistered)?;
        let (needed, _) = self.postage(record, bytes, place);
        match record.free < needed {
            true => Err(TxRefusal::Postage {
                needed,
                have: record.free,
            }),
            false => Ok(()),
        }
    }

    pub(crate) fn pay_postage(
        &mut self,
        provider: &NodeId,
        bytes: usize,
        place: Place,
    ) -> Result<(), TxRefusal> {
        let record = self.provider(provider).ok_or(TxRefusal::Unregistered)?;
        let (fee, sent) = self.postage(record, bytes, place);
        let free = record.free.checked_sub(fee).ok_or(TxRefusal::Overflow)?;
        if (free, sent) != (record.free, record.sent)
            && let Some(record) = self.providers.get_mut(provider)
        {
            (record.free, record.sent) = (free, sent);
        }
        self.collect_fee(fee);
        Ok(())
    }

    /// Who posts a revision need not sign for it; its renter pays, within the cap of the key that signed
    /// the revision.
    pub(crate) fn check_forced_fee(
        &self,
        tx: &ForceRevision,
        fee: Amount,
        place: Place,
    ) -> Result<(), TxRefusal> {
        let signed = tx.revision.signed();
        let renter = &signed.leaf.renter;
        self.check_key(renter, signed.by, forced(fee, place))?;
        let purse = self.purse(renter);
        match purse.without(fee) {
            Some(_) => Ok(()),
            None => Err(TxRefusal::Balance {
                needed: fee,
                have: purse.spendable(),
            }),
        }
    }

    pub(crate) fn pay_forced_fee(
        &mut self,
        tx: &ForceRevision,
        fee: Amount,
        place: Place,
    ) -> Result<(), TxRefusal> {
        if fee == Amount::ZERO {
            return Ok(());
        }
        let signed = tx.revision.signed();
        let renter = signed.leaf.renter;
        let left = self.purse(&renter).without(fee);
        let left = left.ok_or(TxRefusal::Overflow)?;
        self.subkeys
            .spend(&renter, signed.by, &forced(fee, place))?;
        self.put_purse(&renter, left);
        self.collect_fee(fee);
        Ok(())
    }

    /// Takes in a transaction's fee, which has left its payer.
    pub(crate) fn collect_fee(&mut self, fee: Amount) {
        if fee > Amount::ZERO {
            self.collect(Fee::all(fee));
        }
    }
}

const fn forced(fee: Amount, place: Place) -> Deed {
    place.deed(May::NOTHING, fee)
}
