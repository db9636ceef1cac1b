//! A provider before a real ledger, whose one validator acknowledges a proof and then keeps it or leaves
//! it out. What the engine posts is admitted and applied like anybody's.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test picks the effects that it is about"
)]

use crate::io::{Effect, Input, Job, Outcome, Submission};
use crate::rows::{Kind, Write};
use crate::view::BlockInput;
use crate::{Engine, Identity, Provide, Taking};
use larder_contracts::{Auth, Draft, SignedLeaf};
use larder_keys::{AccountSigner, RecoveryKeys, Signer, VaultKeys};
use larder_ledger::mempool::Limits;
use larder_ledger::{
    Censored, Consensus, Event, Faucet, Founding, Genesis, Mempool, Op, ProofAck, ProofsPool,
    Proposer, Register, State, Supply, TreeUpdate, Tx, verify,
};
use larder_proofs::bls::SecretKey;
use larder_proofs::{Outboard, ShardReader};
use larder_types::{Amount, Bytes, GenesisHash, Millis, NodeId, Params, Profile, ShardRoot, Time};
use rand_core::{Infallible, TryRng};
use std::collections::BTreeMap;

const START: Time = Time(1_000_000);
const VALIDATOR: u8 = 2;
const PROVIDER: u8 = 20;

fn signer(seed: u8) -> Signer {
    Signer::from_seed(&[seed; 32])
}

fn own(seed: u8) -> AccountSigner {
    AccountSigner::own(signer(seed))
}

fn node(seed: u8) -> NodeId {
    signer(seed).node()
}

/// The provider's side asks for no randomness.
struct NoDice;

impl TryRng for NoDice {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(0);
        Ok(())
    }
}

/// A contract without shards asks its reader for nothing.
struct Empty;

#[derive(Debug, thiserror::Error)]
#[error("nothing is stored")]
struct Nothing;

impl ShardReader for Empty {
    type Error = Nothing;
    fn group(&self, _: &ShardRoot, _: u64) -> Result<Vec<u8>, Nothing> {
        Err(Nothing)
    }
    fn outboard(&self, _: &ShardRoot) -> Result<Outboard, Nothing> {
        Err(Nothing)
    }
}

/// What the validator does with a proof that it acknowledges.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Validator {
    Honest,
    Censor,
}

/// The ledger with its validator, and a provider's engine with its rows.
struct Bench {
    validator: Validator,
    state: State,
    mempool: Mempool,
    pool: ProofsPool,
    proposer: Proposer,
    now: Time,
    events: Vec<Event>,
    me: Identity,
    engine: Option<Engine>,
    rows: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
    /// The proof that was sent last, and what the validator said.
    proof: Option<(Vec<u8>, ProofAck)>,
    /// What the engine posted against the validator.
    accused: Vec<Censored>,
}

impl Bench {
    /// A network with a provider and one contract, in the epoch before it is active.
    fn new(validator: Validator) -> Self {
        let bls = SecretKey::from_seed(&[3; 32]);
        let params = Params::profile(Profile::Dev).with_epoch(Millis(8_000));
        let genesis = Genesis {
            version: larder_ledger::VERSION,
            network: "test".into(),
            start: START,
            params: params.clone(),
            founder: signer(1).account(),
            supply: Supply::Faucet {
                total: Amount::from_credits(1_000_000),
            },
            consensus: Consensus::Bft,
            validators: vec![Founding::new(node(VALIDATOR), &bls)],
            nonce: [4; 32],
        };
        let state = State::genesis(&genesis).unwrap();
        let net = state.genesis_hash();
        let me = Identity {
            genesis: net,
            schedule: state.schedule(),
            params,
            node_key: signer(PROVIDER),
            ledger_key: own(PROVIDER),
            delegation: None,
            device_key: signer(8),
            cert: None,
            recovery: RecoveryKeys::new(&[7; 32], &VaultKeys::from_root(&[7; 32]), &net),
        };
        let mut bench = Self {
            validator,
            mempool: Mempool::new(Limits::default()),
            pool: ProofsPool::new(START),
            proposer: Proposer::new(signer(VALIDATOR), bls, &state).unwrap(),
            state,
            now: START,
            events: Vec::new(),
            me,
            engine: None,
            rows: BTreeMap::new(),
            proof: None,
            accused: Vec::new(),
        };
        bench.open(&net);
        bench
    }

    fn open(&mut self, net: &GenesisHash) {
        let auth = Auth {
            nonce: 0,
            expiry: 500,
        };
        self.admit(Tx::Faucet(Faucet::sign(&own(10), net)));
        let key = signer(PROVIDER);
        let register = Register::sign(&key, &own(PROVIDER), Amount::ZERO, auth, net);
        self.admit(Tx::Register(register));
        self.make();
        let leaf = Draft {
            provider: node(PROVIDER),
            renter: signer(10).account(),
            nonce16: [7; 16],
            start: 1,
            term: 6,
            capacity_chunks: 1 << 16,
            price: Amount::from_credits(100),
            collateral_epochs: 0,
        }
        .leaf(&self.me.params);
        let signed = SignedLeaf::sign(leaf, Some(auth), &node(PROVIDER), &own(10), net);
        let held = signed.clone().countersign(&key, net);
        self.persist(vec![Write::held(&leaf.contract_id, Some(&held))]);
        let update = TreeUpdate::sign(&key, 0, vec![Op::Put(signed)], net);
        self.admit(Tx::TreeUpdate(update));
    }

    fn admit(&mut self, tx: Tx) {
        let tx = verify::tx(&self.state.genesis_hash(), tx).unwrap();
        self.mempool.admit(tx, &self.state, self.now).unwrap();
    }

    /// The next block, as soon as it is owed.
    fn make(&mut self) {
        let due = larder_ledger::propose::due(&self.state, &self.mempool, self.now);
        self.now = self.now.max(due).max(self.state.earliest_block());
        let Self {
            state,
            mempool,
            pool,
            proposer,
            now,
            ..
        } = self;
        let block = proposer.make(state, mempool, pool, 0, *now).unwrap();
        let events = state.apply(&block).unwrap();
        mempool.prune(state, *now);
        pool.prune(state);
        let txs: Vec<_> = block.get().txs.iter().map(Tx::id).collect();
        let who = (&self.me.node(), &self.me.account());
        let input = BlockInput::of(&self.state, who, &txs, &events, false);
        self.events.extend(events);
        self.step(Input::Block(Box::new(input)));
    }

    fn until(&mut self, holds: impl Fn(&Self) -> bool) {
        for _ in 0..200 {
            if holds(self) {
                return;
            }
            self.make();
        }
        panic!("it never came");
    }

    fn persist(&mut self, writes: Vec<Write>) {
        for write in writes {
            let key = (write.kind as u8, write.key);
            match write.value {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
    }

    /// The provider's process begins, or is killed and begins anew.
    fn start(&mut self) {
        let provide = Provide {
            quota: Bytes(1 << 30),
            price: Amount::from_credits(100),
            egress_price: Amount::ZERO,
            region: String::new(),
            operator: String::new(),
            taking: Taking::All,
        };
        let rows = self.rows.iter();
        let rows = rows.map(|((kind, key), value)| (*kind, key.clone(), value.clone()));
        let engine = Engine::restore(self.me.clone(), Some(provide), rows.collect());
        self.engine = Some(engine.unwrap());
        self.step(Input::Started);
        let who = (&self.me.node(), &self.me.account());
        let input = BlockInput::of(&self.state, who, &[], &[], true);
        self.step(Input::Block(Box::new(input)));
    }

    fn step(&mut self, input: Input) {
        let Some(engine) = &mut self.engine else {
            return;
        };
        for effect in engine.step(self.now, &mut NoDice, input) {
            match effect {
                Effect::Persist(writes) => self.persist(writes),
                Effect::Run {
                    op,
                    job:
                        Job::Prove {
                            challenge,
                            commitment,
                        },
                    ..
                } => {
                    let (key, net) = (&self.me.node_key, &self.me.genesis);
                    let blob = larder_proofs::prove(&*commitment, &challenge, &Empty, key, net);
                    let outcome = Outcome::Proved(Ok(blob.unwrap()));
                    self.step(Input::Done { op, outcome });
                }
                Effect::Submit { op, what } => {
                    let proof = matches!(what, Submission::Proof { .. });
                    self.submitted(what);
                    if proof {
                        let outcome = Outcome::Submitted(Ok(()));
                        self.step(Input::Done { op, outcome });
                    }
                }
                _ => {}
            }
        }
    }

    fn submitted(&mut self, what: Submission) {
        match what {
            Submission::Proof { slot, blob } => {
                let (provider, net) = (node(PROVIDER), self.me.genesis);
                let accepted = self.pool.accept(&self.state, &provider, &blob, self.now);
                let challenge = accepted.unwrap();
                let good = larder_proofs::verify(&blob, &challenge, &net);
                assert_eq!(good, Ok(()));
                match self.validator {
                    Validator::Honest => self.pool.record(&challenge, blob.clone(), &good),
                    Validator::Censor => self.pool = ProofsPool::new(START),
                }
                let ack = ProofAck::sign(&signer(VALIDATOR), slot, provider, &blob, &net);
                self.proof = Some((blob, ack));
            }
            // What the provider posts besides is not what this is about.
            Submission::Tx(tx) => {
                if let Tx::Censored(accused) = *tx {
                    self.accused.push(accused);
                }
            }
        }
    }

    /// The provider has proven; the validator's answer has not arrived yet.
    fn proven(validator: Validator) -> (Self, ProofAck) {
        let mut bench = Self::new(validator);
        bench.until(|bench| bench.state.epoch() == 1);
        bench.start();
        bench.until(|bench| bench.proof.is_some());
        let ack = bench.proof.as_ref().unwrap().1;
        (bench, ack)
    }

    fn hear(&mut self, from: u8, ack: ProofAck) {
        let from = node(from);
        self.step(Input::Acked { from, ack });
    }

    fn kept(&self) -> usize {
        let kinds = self.rows.keys();
        kinds.filter(|(kind, _)| *kind == Kind::Ack as u8).count()
    }

    fn strikes(&self) -> u32 {
        self.state.validator(&node(VALIDATOR)).unwrap().strikes
    }
}

#[test]
fn who_acknowledged_a_proof_and_left_it_out_is_struck() {
    let (mut bench, ack) = Bench::proven(Validator::Censor);
    bench.hear(VALIDATOR, ack);
    assert_eq!(bench.kept(), 1);
    bench.until(|bench| bench.state.is_settled(ack.slot));
    let [accused] = &bench.accused[..] else {
        panic!("once: {:?}", bench.accused);
    };
    assert_eq!(accused.ack, ack);
    bench.admit(Tx::Censored(accused.clone()));
    bench.make();
    assert_eq!(bench.strikes(), 1);
    let struck = |e: &Event| matches!(e, Event::Censored { slot, .. } if *slot == ack.slot);
    assert!(bench.events.iter().any(struck));
    bench.until(|bench| bench.state.epoch() == 3);
    assert_eq!((bench.accused.len(), bench.kept()), (1, 0), "it is settled");
}

#[test]
fn a_provider_that_was_restarted_accuses_all_the_same_and_no_oftener_than_once_an_epoch() {
    let (mut bench, ack) = Bench::proven(Validator::Censor);
    bench.hear(VALIDATOR, ack);
    bench.engine = None;
    bench.until(|bench| bench.state.is_settled(ack.slot));
    assert_eq!(bench.accused.len(), 0);
    bench.start();
    assert_eq!(bench.accused.len(), 1);
    // The validator, which makes all blocks, leaves this out too.
    bench.until(|bench| bench.state.epoch() == 2);
    assert_eq!((bench.accused.len(), bench.kept()), (2, 1));
    // Nobody answers for it any more when the ledger has forgotten it.
    bench.until(|bench| bench.state.epoch() == 3);
    assert_eq!((bench.accused.len(), bench.strikes()), (2, 0));
    let left = |bench: &Bench| bench.rows.contains_key(&(Kind::Ack as u8, key(&ack)));
    assert!(!left(&bench));
}

fn key(ack: &ProofAck) -> Vec<u8> {
    Write::ack(ack.slot, &ack.by, None).key
}

#[test]
fn an_honest_validator_is_accused_of_nothing() {
    let (mut bench, ack) = Bench::proven(Validator::Honest);
    bench.hear(VALIDATOR, ack);
    assert_eq!(bench.kept(), 1);
    bench.until(|bench| bench.state.epoch() == 2);
    let paid = |e: &Event| matches!(e, Event::Paid { epoch: 1, .. });
    assert!(bench.events.iter().any(paid));
    assert!(bench.accused.is_empty());
    assert!(!bench.rows.contains_key(&(Kind::Ack as u8, key(&ack))));
}

#[test]
fn what_is_no_acknowledgement_of_our_proof_is_not_kept() {
    let (mut bench, ack) = Bench::proven(Validator::Censor);
    let (blob, net) = (bench.proof.clone().unwrap().0, bench.me.genesis);
    let by = |key, slot, provider, blob: &[u8], net: &GenesisHash| {
        ProofAck::sign(&signer(key), slot, node(provider), blob, net)
    };
    let elsewhere = GenesisHash([9; 32]);
    let mut framed = by(5, ack.slot, PROVIDER, &blob, &net);
    framed.by = node(VALIDATOR);
    for (from, other) in [
        (VALIDATOR, by(5, ack.slot, PROVIDER, &blob, &net)),
        (5, ack),
        (VALIDATOR, framed),
        (
            VALIDATOR,
            by(VALIDATOR, ack.slot + 1, PROVIDER, &blob, &net),
        ),
        (VALIDATOR, by(VALIDATOR, ack.slot, 21, &blob, &net)),
        (
            VALIDATOR,
            by(VALIDATOR, ack.slot, PROVIDER, b"another", &net),
        ),
        (
            VALIDATOR,
            by(VALIDATOR, ack.slot, PROVIDER, &blob, &elsewhere),
        ),
    ] {
        bench.hear(from, other);
        assert_eq!(bench.kept(), 0, "{other:?} from {from}");
    }
    bench.hear(VALIDATOR, ack);
    bench.hear(VALIDATOR, ack);
    assert_eq!(bench.kept(), 1);
}

#[test]
fn so_many_are_kept_and_no_more() {
    let mut acks = super::Acks::default();
    let ack = |slot| {
        ProofAck::sign(
            &signer(5),
            slot,
            node(PROVIDER),
            b"it",
            &GenesisHash([9; 32]),
        )
    };
    let most = u64::try_from(super::MAX_ACKS).unwrap();
    assert!((0..most).all(|slot| acks.keep(ack(slot))));
    assert!(!acks.keep(ack(most)));
    acks.settle(&[], |slot| slot == 0);
    assert!(acks.keep(ack(most)));
}
