//! A renter's question for one contract (T3), which the ledger poses in the epoch after: who does
//! not answer it, while it answers for the rest, has lost what that contract pays for.
//! `docs/protocol.md` §3.6, §3.7.

use crate::check::Place;
use crate::pay::Fee;
use crate::transact::{Payer, Price};
use crate::verdict::verdict;
use crate::{Event, May, Reason, State, TxRefusal, Verdict};
use larder_contracts::Auth;
use larder_keys::{AccountSigner, Tag, signing_key, verify};
use larder_proofs::{Challenge, MAX_DRAWS};
use larder_types::layout::Layout;
use larder_types::{
    AccountId, Amount, ContractId, Epoch, GenesisHash, NodeId, Signature, SlotNo, SubKeyId, TxId,
};
use serde::{Deserialize, Serialize};

const TARGETED: Tag = Tag("targeted");

/// Most draws of one question: what the ledger's own has, so that the answer is no longer.
pub const MOST_DRAWS: u8 = 16;
const _: () = assert!((MOST_DRAWS as usize) <= MAX_DRAWS);

/// A renter has the ledger ask for one contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Targeted {
    /// Which contract.
    pub contract: ContractId,
    /// Who pays for it, and for the question.
    pub renter: AccountId,
    /// Chunks to draw: 1 to 16.
    pub draws: u8,
    /// At least the network's fee for a draw, times the draws. Half is burned, half is the
    /// validators'.
    pub fee: Amount,
    /// Against replay.
    pub auth: Auth,
    /// The renter's sub-key that signs; `None`: the account key.
    pub by: Option<SubKeyId>,
    /// By that key.
    pub sig: Signature,
}

/// A question that is to be asked, or is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    pub(crate) draws: u8,
    /// Whether the slot's batch has judged it.
    pub(crate) judged: bool,
    /// Why it was not answered; nothing: it was, or is not judged yet.
    pub(crate) result: Option<Reason>,
}

impl Targeted {
    fn to_layout(&self) -> Vec<u8> {
        let layout = Layout::new()
            .fixed(self.contract)
            .fixed(self.renter)
            .u8(self.draws)
            .u64(self.fee.0);
        self.auth.close(layout, self.by)
    }

    /// Asks for `draws` chunks of `contract`, which the signer's account pays for.
    #[must_use]
    pub fn sign(
        renter: &AccountSigner,
        contract: ContractId,
        draws: u8,
        fee: Amount,
        auth: Auth,
        genesis: &GenesisHash,
    ) -> Self {
        let mut targeted = Self {
            contract,
            renter: renter.account(),
            draws,
            fee,
            auth,
            by: renter.by(),
            sig: Signature::default(),
        };
        targeted.sig = renter.sign(TARGETED, genesis, &targeted.to_layout());
        targeted
    }

    const fn payer(&self, fee: Amount) -> Payer {
        Payer {
            account: self.renter,
            by: self.by,
            auth: self.auth,
            need: May::ADD,
            fee,
        }
    }

    pub(crate) fn verify(&self, genesis: &GenesisHash) -> bool {
        let key = signing_key(&self.renter, self.by);
        verify(&key, TARGETED, genesis, &self.to_layout(), &self.sig)
    }
}

impl State {
    /// Once a contract and epoch, by its renter, for the fee.
    pub(crate) fn check_targeted(
        &self,
        tx: &Targeted,
        fee: Amount,
        place: Place,
    ) -> Result<(), TxRefusal> {
        let (_, _, leaf) = self.contract(&tx.contract).ok_or(TxRefusal::NoContract)?;
        if leaf.renter != tx.renter {
            return Err(TxRefusal::NotTheRenter);
        }
        if !(1..=MOST_DRAWS).contains(&tx.draws) {
            return Err(TxRefusal::Draws { draws: tx.draws });
        }
        let least = self.params.draw_fee.checked_mul(u64::from(tx.draws));
        let least = least.ok_or(TxRefusal::Overflow)?;
        if tx.fee < least {
            return Err(TxRefusal::Fee { fee: tx.fee, least });
        }
        let asked = (place.epoch.saturating_add(1), tx.contract);
        if self.targets.contains_key(&asked) {
            return Err(TxRefusal::Stale);
        }
        self.check_price(&tx.payer(fee), Price::Owed(tx.fee), place)
    }

    /// It will be asked in the next epoch.
    pub(crate) fn target(
        &mut self,
        tx: &Targeted,
        postage: Amount,
        place: Place,
        id: TxId,
    ) -> Result<Vec<Event>, TxRefusal> {
        let (contract, fee) = (tx.contract, tx.fee);
        let (_, provider, _) = self.contract(&contract).ok_or(TxRefusal::NoContract)?;
        self.pay_price(&tx.payer(postage), Price::Owed(fee), place)?;
        self.collect(Fee::all(fee));
        let epoch = place.epoch.saturating_add(1);
        let target = Target {
            draws: tx.draws,
            judged: false,
            result: None,
        };
        self.targets.insert((epoch, contract), target);
        Ok(vec![Event::Targeted {
            provider,
            contract,
            epoch,
            draws: tx.draws,
            tx: id,
        }])
    }

    /// The questions for single contracts that a provider must answer in this epoch, once its slot
    /// has opened and until its window closes: by contract id.
    #[must_use]
    pub fn targeted_for(&self, provider: &NodeId) -> Vec<(ContractId, Challenge)> {
        let Some(asked) = self.challenge_for(provider) else {
            return Vec::new();
        };
        self.targets_now()
            .filter_map(|(contract, target)| {
                let (place, holder, _) = self.contract(&contract)?;
                (holder == *provider)
                    .then(|| (contract, asked.targeted(place, &contract, target.draws)))
            })
            .collect()
    }

    /// The questions on which a slot's batch gives a result: by provider index, then contract id.
    pub(crate) fn slot_targets(
        &self,
        slot: SlotNo,
    ) -> Vec<(NodeId, ContractId, Option<Challenge>)> {
        if self.targets_now().next().is_none() {
            return Vec::new();
        }
        let of = |provider: NodeId| {
            let challenges = self.targeted_for(&provider);
            self.targets_now().filter_map(move |(contract, _)| {
                let (_, holder, _) = self.contract(&contract)?;
                let challenge = challenges.iter().find(|(id, _)| *id == contract);
                (holder == provider).then(|| (provider, contract, challenge.map(|(_, c)| *c)))
            })
        };
        let asked = self.slot_providers(slot);
        asked.iter().flat_map(|p| of(p.node)).collect()
    }

    fn targets_now(&self) -> impl Iterator<Item = (ContractId, &Target)> {
        let all = (self.epoch, ContractId([0; 32]))..=(self.epoch, ContractId([u8::MAX; 32]));
        self.targets
            .range(all)
            .map(|((_, id), target)| (*id, target))
    }

    /// Notes what a slot's batch says of its questions.
    pub(crate) fn judge_target(&mut self, contract: ContractId, result: Option<Reason>) {
        if let Some(target) = self.targets.get_mut(&(self.epoch, contract)) {
            target.judged = true;
            target.result = result;
        }
    }

    /// Since when a contract is faulted by itself, whatever its provider answers for the rest.
    #[must_use]
    pub fn faulted_alone(&self, contract: &ContractId) -> Option<Epoch> {
        self.lost_alone.get(contract).copied()
    }

    /// At an epoch's end, before verdicts are forgotten: a false answer faults its contract, and so
    /// does silence where the provider passed for the whole tree. Where it did not, that was a miss,
    /// and there is no more to it.
    pub(crate) fn fault_targets(&mut self, events: &mut Vec<Event>) {
        let epoch = self.epoch.saturating_add(1);
        let due: Vec<(ContractId, Reason)> = self
            .targets_now()
            .filter(|(_, target)| target.judged)
            .filter_map(|(contract, target)| Some((contract, target.result?)))
            .collect();
        for (contract, why) in due {
            let Some((_, provider, leaf)) = self.contract(&contract) else {
                continue;
            };
            let renter = leaf.renter;
            let whole = self.provider(&provider).and_then(|record| record.verdict);
            let is_fault = match verdict(Some(why)) {
                Verdict::Fail => whole != Some(Verdict::Declared),
                Verdict::Miss => whole == Some(Verdict::Pass),
                Verdict::Pass | Verdict::Declared => false,
            };
            if is_fault && !self.lost_alone.contains_key(&contract) {
                self.lost_alone.insert(contract, epoch);
                events.push(Event::ContractFaulted {
                    provider,
                    renter,
                    contract,
                    epoch,
                    why,
                });
            }
        }
    }

    /// Forgets the questions of epochs before this one.
    pub(crate) fn forget_targets(&mut self) {
        let epoch = self.epoch;
        self.targets.retain(|(asked, _), _| *asked >= epoch);
    }
}
