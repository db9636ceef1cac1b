//! Mutual credit: an account may go below zero as far as others vouch for it. A guarantor sets what it
//! vouches for aside, out of its own balance, and is liable with it: who takes a word back pays what the
//! member owes under it. Nothing else makes a limit, turnover least of all. `docs/protocol.md` §3.12.

use crate::check::Place;
use crate::genesis::MAX_MUTUAL;
use crate::transact::{Payer, Price};
use crate::{Event, Line, State, TxRefusal};
use larder_contracts::Auth;
use larder_keys::{AccountSigner, Tag, signing_key, verify};
use larder_types::layout::Layout;
use larder_types::{AccountId, Amount, GenesisHash, Signature, SubKeyId, TxId};
use serde::{Deserialize, Serialize};

const VOUCH: Tag = Tag("vouch");

/// Most that vouch for one account.
pub const MAX_GUARANTORS: usize = 64;

/// A guarantor says how far it vouches for a member; nothing takes its word back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vouch {
    /// Who is liable.
    pub guarantor: AccountId,
    /// For whom.
    pub member: AccountId,
    /// How far from now on.
    pub limit: Amount,
    /// Against replay.
    pub auth: Auth,
    /// The guarantor's sub-key that signs; `None`: the account key.
    pub by: Option<SubKeyId>,
    /// By that key.
    pub sig: Signature,
}

impl Vouch {
    /// guarantor[32] ‖ member[32] ‖ limit u64 ‖ nonce u64 ‖ expiry u64 ‖ has_by u8 ‖ by[32].
    fn to_layout(&self) -> Vec<u8> {
        let layout = Layout::new()
            .fixed(self.guarantor)
            .fixed(self.member)
            .u64(self.limit.0);
        self.auth.close(layout, self.by)
    }

    /// Vouches for `member` up to `limit` with the signer's account.
    #[must_use]
    pub fn sign(
        guarantor: &AccountSigner,
        member: AccountId,
        limit: Amount,
        auth: Auth,
        genesis: &GenesisHash,
    ) -> Self {
        let mut vouch = Self {
            guarantor: guarantor.account(),
            member,
            limit,
            auth,
            by: guarantor.by(),
            sig: Signature::default(),
        };
        vouch.sig = guarantor.sign(VOUCH, genesis, &vouch.to_layout());
        vouch
    }

    pub(crate) fn verify(&self, genesis: &GenesisHash) -> bool {
        let key = signing_key(&self.guarantor, self.by);
        verify(&key, VOUCH, genesis, &self.to_layout(), &self.sig)
    }

    const fn payer(&self, fee: Amount) -> Payer {
        Payer::spends(self.guarantor, self.by, self.auth, fee)
    }
}

impl State {
    /// How far a guarantor vouches for a member.
    #[must_use]
    pub fn vouched(&self, member: &AccountId, guarantor: &AccountId) -> Amount {
        let held = self.vouches.get(&(*member, *guarantor));
        held.copied().unwrap_or(Amount::ZERO)
    }

    fn guarantors(&self, member: &AccountId) -> usize {
        let (first, last) = (AccountId([0; 32]), AccountId([u8::MAX; 32]));
        self.vouches
            .range((*member, first)..=(*member, last))
            .count()
    }

    /// In a network of mutual credit, for another that is known, out of what the guarantor itself has.
    pub(crate) fn check_vouch(
        &self,
        tx: &Vouch,
        fee: Amount,
        place: Place,
    ) -> Result<(), TxRefusal> {
        if !self.is_mutual {
            return Err(TxRefusal::NotMutual);
        }
        if tx.guarantor == tx.member {
            return Err(TxRefusal::Oneself);
        }
        if self.account(&tx.member).is_none() && self.params.existence > Amount::ZERO {
            return Err(TxRefusal::NoAccount);
        }
        let line = self.purse(&tx.member).line;
        // Nobody is made liable for what the member owed before.
        if line.debt > line.limit {
            return Err(TxRefusal::Indebted);
        }
        let before = self.vouched(&tx.member, &tx.guarantor);
        if tx.limit == before {
            return Err(TxRefusal::Stale);
        }
        if before == Amount::ZERO && self.guarantors(&tx.member) >= MAX_GUARANTORS {
            return Err(TxRefusal::Guarantors);
        }
        let more = tx.limit.saturating_sub(before);
        let aside = self.vouches.credit().saturating_add(u128::from(more.0));
        if aside >= u128::from(MAX_MUTUAL.0) {
            return Err(TxRefusal::Overflow);
        }
        self.check_price(&tx.payer(fee), Price::Owned(more), place)
    }

    /// More is set aside, or what is not needed any more returns; what the member owes beyond its new
    /// limit is paid first.
    pub(crate) fn vouch(
        &mut self,
        tx: &Vouch,
        fee: Amount,
        place: Place,
        id: TxId,
    ) -> Result<Vec<Event>, TxRefusal> {
        let Vouch {
            guarantor, member, ..
        } = *tx;
        let before = self.vouched(&member, &guarantor);
        let more = tx.limit.saturating_sub(before);
        let less = before.saturating_sub(tx.limit);
        let mut purse = self.purse(&member);
        let grown = purse.line.limit.checked_add(more);
        let limit = grown.ok_or(TxRefusal::Overflow)?.saturating_sub(less);
        self.pay_price(&tx.payer(fee), Price::Owned(more), place)?;
        // The fee may have been the member's, if it is the founder.
        purse = self.purse(&member);
        let paid = purse.line.debt.saturating_sub(limit).min(less);
        purse.line = Line {
            limit,
            debt: purse.line.debt.saturating_sub(paid),
        };
        self.put_purse(&member, purse);
        self.give(&guarantor, less.saturating_sub(paid));
        self.set_aside(member, guarantor, before, tx.limit);
        Ok(vec![Event::Vouched {
            guarantor,
            member,
            limit: tx.limit,
            paid,
            tx: id,
        }])
    }

    /// Notes what is set aside. Both accounts are held by it.
    fn set_aside(
        &mut self,
        member: AccountId,
        guarantor: AccountId,
        before: Amount,
        limit: Amount,
    ) {
        match limit {
            Amount::ZERO => drop(self.vouches.remove(&(member, guarantor))),
            limit => drop(self.vouches.insert((member, guarantor), limit)),
        }
        for id in [member, guarantor] {
            let account = self.accounts.or_default(id);
            match (before, limit) {
                (Amount::ZERO, _) => account.tie(),
                (_, Amount::ZERO) => account.untie(),
                _ => {}
            }
        }
    }
}
