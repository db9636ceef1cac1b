//! A node that was asked to validate is put forward with the very block that brings its account the
//! bond, once an epoch where it is refused, and not again once the ledger knew it.

use super::*;
use crate::io::SubmitError;
use larder_proofs::bls::SecretKey;

const BOND: Amount = Amount(10_000_000_000);

struct Bench {
    engine: Engine,
    rng: Count,
    height: u64,
    op: Option<OpId>,
}

impl Bench {
    fn asked() -> Self {
        let me = identity(1, 1);
        assert_eq!(me.params.validator_bond, BOND);
        let mut bench = Self {
            engine: Engine::restore(me, None, Vec::new()).unwrap(),
            rng: Count(1),
            height: 0,
            op: None,
        };
        assert!(!bench.step(Input::Started));
        let key = SecretKey::from_seed(&[1; 32]);
        assert!(!bench.step(Input::Command(Command::Stand(Box::new(key)))));
        bench
    }

    /// Whether the node is put forward now.
    fn step(&mut self, input: Input) -> bool {
        let effects = self.engine.step(START, &mut self.rng, input);
        let candidacy = effects.into_iter().find_map(|effect| {
            let Effect::Submit {
                op,
                what: Submission::Tx(tx),
            } = effect
            else {
                return None;
            };
            matches!(*tx, Tx::Candidacy(_)).then_some(op)
        });
        self.op = candidacy.or(self.op);
        candidacy.is_some()
    }

    fn block(&mut self, epoch: Epoch, has: Option<Amount>, is_on_roll: bool) -> bool {
        self.height += 1;
        let account = has.map(|balance| Account {
            balance,
            granted: true,
            ..Account::default()
        });
        self.step(Input::Block(Box::new(BlockInput {
            height: self.height,
            hash: BlockHash([0; 32]),
            time: START,
            epoch,
            beacon: None,
            account,
            subkeys: SubKeys::default(),
            provider: None,
            active: None,
            challenge: None,
            targeted: Vec::new(),
            withheld: Vec::new(),
            is_on_roll,
            posted: Vec::new(),
            txs: Vec::new(),
        })))
    }

    fn refused(&mut self) {
        let op = self.op.take().expect("it was put forward");
        let outcome = Outcome::Submitted(Err(SubmitError::Refused("no".to_owned())));
        assert!(!self.step(Input::Done { op, outcome }));
    }
}

#[test]
fn it_stands_with_the_block_that_brings_the_bond() {
    let mut bench = Bench::asked();
    assert!(!bench.block(0, None, false), "no account yet");
    assert!(!bench.block(0, Some(Amount(BOND.0 - 1)), false));
    assert!(bench.block(0, Some(BOND), false), "in the same epoch");
    assert!(!bench.block(0, Some(BOND), false), "it is on its way");
}

#[test]
fn a_refusal_is_asked_for_again_in_the_next_epoch_and_not_before() {
    let mut bench = Bench::asked();
    assert!(bench.block(3, Some(BOND), false));
    bench.refused();
    assert!(!bench.block(3, Some(BOND), false));
    assert!(bench.block(4, Some(BOND), false));
}

#[test]
fn who_was_known_and_is_no_more_does_not_come_back_by_itself() {
    let mut bench = Bench::asked();
    assert!(
        !bench.block(0, Some(BOND), true),
        "it is a candidate already"
    );
    for epoch in 1..4 {
        assert!(!bench.block(epoch, Some(BOND), false));
    }
    let key = SecretKey::from_seed(&[1; 32]);
    let asked = Input::Command(Command::Stand(Box::new(key)));
    assert!(bench.step(asked), "but if it is told to");
}
