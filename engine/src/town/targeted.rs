//! A keeper has the ledger ask for one contract: whose provider shows it nothing, or was caught. Who
//! answers the ledger keeps its contract, who does not loses it, and silence alone is no loss.

use super::audits::stored;
use super::*;
use larder_ledger::Targeted;
use larder_proofs::{Kind, verify};

/// What renters have the ledger ask.
#[derive(Default)]
pub(super) struct Questions {
    /// All that were posted, and in which epoch.
    posted: Vec<(Epoch, Targeted)>,
    /// Those of this epoch.
    waiting: BTreeMap<ContractId, u8>,
    /// Contracts that were not answered for.
    pub(super) faulted: BTreeSet<ContractId>,
    closing: BTreeSet<ContractId>,
}

impl Town {
    /// The ledger hears of questions and of closes.
    pub(super) fn questioned(&mut self, tx: &Tx) {
        if let Tx::Targeted(asked) = tx
            && !self.questions.posted.iter().any(|(_, old)| old == asked)
        {
            let contract = asked.contract;
            self.questions.posted.push((self.epoch, asked.clone()));
            let twice = self.questions.waiting.insert(contract, asked.draws);
            assert_eq!(twice, None, "once a contract and epoch");
        }
        if let Tx::CloseFaulted(close) = tx {
            assert!(self.questions.faulted.contains(&close.contract));
            self.questions.closing.insert(close.contract);
        }
    }

    /// An epoch ends: who was asked for one contract and did not answer for it has lost it.
    pub(super) fn judge_questions(&mut self) {
        for (_, (contract, one)) in std::mem::take(&mut self.asked).values() {
            let is_answer = |blob: &Vec<u8>| verify(blob, one, &NET).is_ok();
            if !self.proven.iter().any(is_answer) {
                self.questions.faulted.insert(*contract);
            }
        }
        for contract in std::mem::take(&mut self.questions.closing) {
            self.active.remove(&contract);
        }
    }

    /// An epoch begins: what was posted in the last one is asked.
    pub(super) fn pose_questions(&mut self) {
        for (contract, draws) in std::mem::take(&mut self.questions.waiting) {
            let Some((provider, _)) = self.active.get(&contract).copied() else {
                continue;
            };
            let mut tree = ProviderTree::new();
            for (holder, leaf) in self.active.values() {
                if *holder == provider {
                    tree.insert(*leaf).unwrap();
                }
            }
            let leaves: Vec<_> = tree.iter().collect();
            let (place, _) = leaves
                .iter()
                .find(|(_, leaf)| leaf.contract_id == contract)
                .unwrap();
            let whole = Challenge {
                kind: Kind::Ledger,
                slot_no: self.nodes[0].me.schedule.slot_at(self.now),
                ..Challenge::audit(&NET, provider, &tree, [3; 32], 4)
            };
            let one = whole.targeted(*place, &contract, draws);
            let machine = self.machine(&provider);
            self.asked.insert(machine, (whole, (contract, one)));
        }
    }

    /// When a contract was asked for.
    fn asked_for(&self, contract: &ContractId) -> Vec<Epoch> {
        let posted = self.questions.posted.iter();
        let ours = posted.filter(|(_, asked)| asked.contract == *contract);
        ours.map(|(epoch, _)| *epoch).collect()
    }
}

/// A town whose keeper's first position lies with a provider that answers it nothing.
fn unanswered() -> (Town, usize, SegmentId, ContractId, usize) {
    let (mut town, keeper, segment) = stored();
    let contract = town.holders(keeper, &segment)[0].unwrap();
    let machine = town.machine(&town.active[&contract].0);
    town.nodes[machine].deaf = true;
    (town, keeper, segment, contract, machine)
}

#[test]
fn who_answers_the_ledger_and_not_its_renter_keeps_its_contract_and_is_asked_ever_less() {
    let (mut town, keeper, segment, contract, _) = unanswered();
    town.epochs(1);
    assert_eq!(
        town.asked_for(&contract),
        [],
        "one epoch of silence is little"
    );
    town.epochs(26);
    let asked = town.asked_for(&contract);
    assert!(asked.len() >= 3, "{asked:?}");
    for (n, pair) in asked.windows(2).enumerate() {
        assert_eq!(pair[1] - pair[0], 2 << n, "{asked:?}");
    }
    assert_eq!(town.questions.faulted.len(), 0, "it answers the ledger");
    assert_eq!(town.holders(keeper, &segment)[0], Some(contract));
    assert_eq!(town.questions.posted.len(), asked.len(), "nobody else");
}

#[test]
fn who_answers_neither_loses_the_contract_and_all_that_it_held() {
    let (mut town, keeper, segment, contract, machine) = unanswered();
    let gone: Vec<ShardRoot> = {
        let row = &town.nodes[keeper].engine().renter.segments[&segment];
        let held = row.roots.iter().zip(&row.holders);
        let ours = held.filter(|(_, holder)| **holder == Some(contract));
        ours.map(|(root, _)| *root).collect()
    };
    for root in &gone {
        town.files.as_mut().unwrap().bytes.remove(root);
    }
    town.until("a fault of the contract", |town| {
        town.questions.faulted.contains(&contract)
    });
    town.epochs(2);
    assert!(!town.holders(keeper, &segment).contains(&Some(contract)));
    assert!(!town.active.contains_key(&contract), "it is closed");
    assert_eq!(town.asked_for(&contract).len(), 1);
    let provider = town.nodes[machine].me.node();
    let shunned = |town: &Town| {
        let asked = &town.nodes[keeper].engine().renter.asked;
        asked.is_shunned(&provider)
    };
    assert!(shunned(&town), "nothing more is opened with it");
    town.start(keeper);
    assert!(shunned(&town), "nor after a restart");
    town.epochs(31);
    assert!(!shunned(&town), "for thirty epochs");
}

#[test]
fn who_is_caught_at_a_false_answer_is_asked_by_the_ledger_in_the_epoch_after() {
    let (mut town, keeper, segment) = stored();
    let contract = town.holders(keeper, &segment)[0].unwrap();
    let machine = town.machine(&town.active[&contract].0);
    town.files.as_mut().unwrap().forgers.insert(machine);
    town.until("the loss", |town| {
        !town.holders(keeper, &segment).contains(&Some(contract))
    });
    let caught = town.epoch;
    town.until("the fault", |town| {
        town.questions.faulted.contains(&contract)
    });
    assert_eq!(town.asked_for(&contract), [caught + 1]);
}

#[test]
fn who_declares_the_loss_itself_is_not_asked() {
    let (mut town, keeper, segment) = stored();
    let contract = town.holders(keeper, &segment)[0].unwrap();
    let machine = town.machine(&town.active[&contract].0);
    let root = town.nodes[keeper].engine().renter.segments[&segment].roots[0];
    // It knows, and the ledger of this town heeds no declaration: the tree goes on naming it.
    town.command(machine, Command::Damaged(vec![root]));
    town.until("a denial", |town| {
        !town.holders(keeper, &segment).contains(&Some(contract))
    });
    let provider = town.nodes[machine].me.node();
    let renter = &mut town.nodes[keeper].engine.as_mut().unwrap().renter;
    assert!(renter.audits.is_unproven(&provider, town.epoch + 1));
    renter.audits.is_dealt_with(&provider);
    assert!(!renter.audits.is_unproven(&provider, town.epoch + 1));
}

#[test]
fn a_restart_asks_nothing_twice() {
    let (mut town, keeper, _, contract, _) = unanswered();
    town.until("a question", |town| !town.asked_for(&contract).is_empty());
    town.start(keeper);
    town.start(keeper);
    town.epochs(1);
    assert_eq!(town.asked_for(&contract).len(), 1);
    let [(_, asked)] = &town.questions.posted[..] else {
        panic!("one question");
    };
    assert_eq!(
        asked.fee.nano(),
        u64::from(asked.draws) * params().draw_fee.nano()
    );
}

#[test]
fn without_credit_for_the_fee_nothing_is_asked() {
    let (mut town, _, _, contract, _) = unanswered();
    town.balance = Amount::ZERO;
    town.epochs(12);
    assert_eq!(town.asked_for(&contract), []);
    town.balance = Amount::from_credits(1);
    town.epochs(1);
    assert_eq!(town.asked_for(&contract).len(), 1);
}
