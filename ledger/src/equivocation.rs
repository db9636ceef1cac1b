//! Votes that contradict each other: whoever signed two of one kind, height and round for different
//! values could make two blocks final at one height. Anyone may show them, once; the signer is taken out
//! of the set at once, loses its bond, and its keys never come back. `docs/protocol.md` §3.8.

use crate::validator::{Parting, Standing};
use crate::{Event, State, TxRefusal};
use larder_proofs::{SignedVote, is_equivocation};
use larder_types::{AccountId, Amount, GenesisHash, TxId};
use serde::{Deserialize, Serialize};

/// Two votes of one validator that contradict each other. Nobody signs it: the votes are signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Equivocation {
    /// One.
    pub a: SignedVote,
    /// The other.
    pub b: SignedVote,
    /// Who has half of the bond; `None`: all of it is burned. Whoever makes the block could put itself
    /// here, and a validator could show its own votes: so half is burned in any case.
    pub reporter: Option<AccountId>,
}

impl Equivocation {
    pub(crate) fn verify(&self, genesis: &GenesisHash) -> bool {
        self.a.is_signed(genesis) && self.b.is_signed(genesis)
    }
}

impl State {
    pub(crate) fn check_equivocation(&self, tx: &Equivocation) -> Result<(), TxRefusal> {
        self.check_changeable()?;
        if !is_equivocation(&tx.a, &tx.b) {
            return Err(TxRefusal::NoEquivocation);
        }
        let record = self.validator(&tx.a.by).ok_or(TxRefusal::NotAValidator)?;
        if record.is_banned {
            return Err(TxRefusal::Punished);
        }
        if !record.answers() {
            return Err(TxRefusal::NotAValidator);
        }
        match tx.reporter {
            Some(account) if self.account(&account).is_none() => Err(TxRefusal::NoAccount),
            Some(_) | None => Ok(()),
        }
    }

    /// The bond goes, half of it burned, and so does the seat, unless it is the last.
    pub(crate) fn punish(&mut self, tx: &Equivocation, id: TxId) -> Result<Vec<Event>, TxRefusal> {
        let node = tx.a.by;
        let record = self.validator_mut(&node)?;
        record.is_banned = true;
        record.strikes = record.strikes.saturating_add(1);
        let (bond, standing) = (std::mem::take(&mut record.bond), record.standing);
        let reward = match tx.reporter {
            Some(_) => Amount(bond.0 / 2),
            None => Amount::ZERO,
        };
        let burned = bond.saturating_sub(reward);
        let all = self.burned.checked_add(burned);
        self.burned = all.ok_or(TxRefusal::Overflow)?;
        if let Some(account) = tx.reporter {
            self.give(&account, reward);
        }
        let mut events = vec![Event::Equivocated {
            node,
            height: tx.a.vote.height,
            burned,
            reward,
            tx: id,
        }];
        if standing == Standing::Seated && self.validators.members().len() > 1 {
            events.extend(self.part(&node, Parting::Equivocated)?);
        }
        Ok(events)
    }
}
