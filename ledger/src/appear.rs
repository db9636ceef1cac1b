//! How accounts come to be and go. One that first appears sets a deposit aside out of what it is paid; it
//! has that back when it leaves. Of one that has left just enough is kept that nothing it ever signed
//! comes to life again. `docs/protocol.md` §3.12.

use crate::check::Place;
use crate::transact::{Payer, Price};
use crate::{Account, Event, Line, May, Nonces, State, TxRefusal};
use larder_contracts::Auth;
use larder_keys::{Signer, Tag, verify};
use larder_types::layout::Layout;
use larder_types::{AccountId, Amount, GenesisHash, Signature, Time, TxId};
use serde::{Deserialize, Serialize};

const LEAVE: Tag = Tag("leave");

/// An account leaves: all it has goes elsewhere, its deposit too. Only its own key signs that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leave {
    /// Who leaves.
    pub account: AccountId,
    /// Who has what is left.
    pub to: AccountId,
    /// Against replay.
    pub auth: Auth,
    /// By the account key.
    pub sig: Signature,
}

/// What is kept of an account that has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Left {
    /// Its nonces are spent below this.
    pub base: u64,
    /// No delegation that was signed by then makes a sub-key.
    pub revoked: Time,
}

impl Leave {
    /// account[32] ‖ to[32] ‖ nonce u64 ‖ expiry u64.
    fn to_layout(&self) -> Vec<u8> {
        Layout::new()
            .fixed(self.account)
            .fixed(self.to)
            .u64(self.auth.nonce)
            .u64(self.auth.expiry)
            .finish()
    }

    /// The signer's account leaves.
    #[must_use]
    pub fn sign(account: &Signer, to: AccountId, auth: Auth, genesis: &GenesisHash) -> Self {
        let mut leave = Self {
            account: account.account(),
            to,
            auth,
            sig: Signature::default(),
        };
        leave.sig = account.sign(LEAVE, genesis, &leave.to_layout());
        leave
    }

    pub(crate) fn verify(&self, genesis: &GenesisHash) -> bool {
        verify(
            &self.account.0,
            LEAVE,
            genesis,
            &self.to_layout(),
            &self.sig,
        )
    }

    const fn payer(&self, fee: Amount) -> Payer {
        Payer {
            account: self.account,
            by: None,
            auth: self.auth,
            need: May::NOTHING,
            fee,
        }
    }
}

impl State {
    /// Whether an account may be paid `amount`: one that is new must be able to set its deposit aside.
    pub(crate) fn check_endowed(&self, id: &AccountId, amount: Amount) -> Result<(), TxRefusal> {
        let least = self.params.existence;
        match self.account(id) {
            None if amount < least => Err(TxRefusal::Existence { least }),
            None | Some(_) => Ok(()),
        }
    }

    /// Pays an account, which may be new.
    pub(crate) fn endow(&mut self, id: &AccountId, amount: Amount) {
        let deposit = self.params.existence.min(amount);
        if self.account(id).is_some() || deposit == Amount::ZERO {
            self.give(id, amount);
            return;
        }
        let before = self.left.remove(id);
        let account: &mut Account = self.accounts.or_default(*id);
        account.deposit = deposit;
        if let Some(Left { base, revoked }) = before {
            (account.nonces, account.revoked) = (Nonces::from_base(base), revoked);
        }
        self.give(id, amount.saturating_sub(deposit));
    }

    /// Nothing may hold the account: no contract, provider or vouching, and no debt.
    pub(crate) fn check_leave(
        &self,
        tx: &Leave,
        fee: Amount,
        place: Place,
    ) -> Result<(), TxRefusal> {
        let account = self.account(&tx.account).ok_or(TxRefusal::NoAccount)?;
        let purse = self.purse(&tx.account);
        if account.ties > 0 || purse.line != Line::default() || tx.account == self.founder {
            return Err(TxRefusal::Tied { ties: account.ties });
        }
        if tx.to == tx.account || account.deposit == Amount::ZERO {
            return Err(TxRefusal::Nothing);
        }
        self.check_price(&tx.payer(fee), Price::Owed(Amount::ZERO), place)?;
        let all = purse.balance.checked_add(account.deposit);
        let rest = all.ok_or(TxRefusal::Overflow)?.saturating_sub(fee);
        self.check_endowed(&tx.to, rest)
    }

    /// The record goes, its sub-keys with it.
    pub(crate) fn leave(
        &mut self,
        tx: &Leave,
        fee: Amount,
        place: Place,
        id: TxId,
    ) -> Result<Vec<Event>, TxRefusal> {
        self.pay_price(&tx.payer(fee), Price::Owed(Amount::ZERO), place)?;
        let account = tx.account;
        let record = self.accounts.remove(&account).ok_or(TxRefusal::NoAccount)?;
        let left = Left {
            base: record.nonces.beyond(),
            revoked: record.revoked.max(place.time),
        };
        self.left.insert(account, left);
        self.subkeys.forget(&account);
        let all = record.balance.checked_add(record.deposit);
        let amount = all.expect("all credit is below 2^63 nano");
        self.endow(&tx.to, amount);
        Ok(vec![Event::AccountLeft {
            account,
            to: tx.to,
            amount,
            tx: id,
        }])
    }
}
