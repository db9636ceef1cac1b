//! A provider's free collateral goes back to the account that it is paid to: what no contract has
//! locked, and no strike has taken. `docs/protocol.md` §3.12.

use crate::check::Place;
use crate::transact::{Payer, Price};
use crate::{Event, State, TxRefusal};
use larder_contracts::Auth;
use larder_keys::{AccountSigner, Tag, signing_key, verify};
use larder_types::layout::Layout;
use larder_types::{AccountId, Amount, GenesisHash, NodeId, Signature, SubKeyId, TxId};
use serde::{Deserialize, Serialize};

const WITHDRAW: Tag = Tag("withdraw");

/// Credit from a provider's free collateral to its payout account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdraw {
    /// Whose collateral shrinks.
    pub provider: NodeId,
    /// The account that it is paid to.
    pub account: AccountId,
    /// How much; not nothing.
    pub amount: Amount,
    /// Against replay.
    pub auth: Auth,
    /// The account's sub-key that signs; `None`: the account key.
    pub by: Option<SubKeyId>,
    /// By that key.
    pub sig: Signature,
}

impl Withdraw {
    /// provider[32] ‖ account[32] ‖ amount u64 ‖ nonce u64 ‖ expiry u64 ‖ has_by u8 ‖ by[32].
    fn to_layout(&self) -> Vec<u8> {
        let layout = Layout::new()
            .fixed(self.provider)
            .fixed(self.account)
            .u64(self.amount.0);
        self.auth.close(layout, self.by)
    }

    /// Takes `amount` of the free collateral of `provider`, which is paid to the signer's account.
    #[must_use]
    pub fn sign(
        provider: NodeId,
        account: &AccountSigner,
        amount: Amount,
        auth: Auth,
        genesis: &GenesisHash,
    ) -> Self {
        let mut withdraw = Self {
            provider,
            account: account.account(),
            amount,
            auth,
            by: account.by(),
            sig: Signature::default(),
        };
        withdraw.sig = account.sign(WITHDRAW, genesis, &withdraw.to_layout());
        withdraw
    }

    pub(crate) fn verify(&self, genesis: &GenesisHash) -> bool {
        let key = signing_key(&self.account, self.by);
        verify(&key, WITHDRAW, genesis, &self.to_layout(), &self.sig)
    }

    const fn payer(&self, fee: Amount) -> Payer {
        Payer::spends(self.account, self.by, self.auth, fee)
    }
}

impl State {
    /// Who began without collateral and is on trial saves its pay up as such: while it has contracts,
    /// that stays.
    pub(crate) fn check_withdraw(
        &self,
        tx: &Withdraw,
        fee: Amount,
        place: Place,
    ) -> Result<(), TxRefusal> {
        let record = self.provider(&tx.provider).ok_or(TxRefusal::Unregistered)?;
        if record.payout != tx.account {
            return Err(TxRefusal::NotThePayout);
        }
        if tx.amount == Amount::ZERO {
            return Err(TxRefusal::Nothing);
        }
        if record.on_trial > 0 && record.active.iter().next().is_some() {
            return Err(TxRefusal::OnTrial);
        }
        if record.free < tx.amount {
            return Err(TxRefusal::Free {
                needed: tx.amount,
                have: record.free,
            });
        }
        self.check_price(&tx.payer(fee), Price::Owed(Amount::ZERO), place)
    }

    pub(crate) fn withdraw(
        &mut self,
        tx: &Withdraw,
        fee: Amount,
        place: Place,
        id: TxId,
    ) -> Result<Vec<Event>, TxRefusal> {
        let Withdraw {
            provider,
            account,
            amount,
            ..
        } = *tx;
        self.pay_price(&tx.payer(fee), Price::Owed(Amount::ZERO), place)?;
        let record = self.providers.get_mut(&provider);
        let record = record.ok_or(TxRefusal::Unregistered)?;
        let free = record.free.checked_sub(amount);
        record.free = free.ok_or(TxRefusal::Overflow)?;
        self.give(&account, amount);
        Ok(vec![Event::Withdrawn {
            provider,
            account,
            amount,
            tx: id,
        }])
    }
}
