//! A million random operations from one seed: opens with oneself and others, future starts,
//! replays, rates that change after misses, closes in the last slot, declared losses, faults, sub-keys,
//! validators that come and go. After each block credit is conserved, claims are covered by escrow and pledges by what is locked.
//! Signatures are not made here: what they guard has tests of its own.

mod ops;
mod seats;

use super::world::{dev, false_proof, genesis_of, signer};
use crate::check::Place;
use crate::{
    Event, Evidence, Faucet, Header, Op, Reason, Register, Skip, State, SubKeys, Tx, VerdictBatch,
};
use larder_contracts::Auth;
use larder_proofs::{ContentTree, ContractLeaf, Reveal};
use larder_types::{
    AccountId, Amount, BlockHash, Hash, Millis, NodeId, Params, Signature, SlotNo, Time,
};
use std::collections::{BTreeMap, VecDeque};

const OPERATIONS: u64 = 1_000_000;
/// Runs with other parameters and seeds, each with its share.
const RUNS: u64 = 4;
/// Accounts that only rent; each provider's own account rents too, from itself.
const RENTERS: u8 = 6;
const NODES: u8 = 5;
/// Sub-keys of each account, authorised now and then.
const HANDS: u8 = 3;
/// Kept to be sent again.
const OLD: usize = 256;
const SIG: Signature = Signature([0; 64]);

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Of any magnitude below 2^bits.
    fn magnitude(&mut self, bits: u64) -> u64 {
        let width = self.below(bits) + 1;
        self.roll() >> (64 - width)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let n = u64::try_from(of.len()).unwrap();
        (n > 0).then(|| of[usize::try_from(self.below(n)).unwrap()])
    }
}

struct Mill {
    state: State,
    dice: Dice,
    operations: u64,
    nodes: Vec<(u8, NodeId)>,
    accounts: Vec<AccountId>,
    trees: BTreeMap<Hash, ContentTree>,
    /// Keys of nodes that may stand.
    bls: Vec<[u8; 48]>,
    old: VecDeque<Tx>,
    included: u64,
    refused: u64,
    drafts: u64,
    /// What happened, so that a run that stays in one corner is no proof.
    seen: BTreeMap<&'static str, u64>,
}

impl Mill {
    fn new(params: Params, seed: u64) -> Self {
        let state = State::genesis(&genesis_of(params, &[60, 61, 62])).unwrap();
        let keys = 20..20 + NODES;
        let nodes: Vec<(u8, NodeId)> = keys.map(|k| (k, signer(k).node())).collect();
        let owners = (100..100 + RENTERS).chain(20..20 + NODES);
        let accounts = owners.map(|k| signer(k).account()).collect();
        let mut mill = Self {
            state,
            dice: Dice(seed),
            operations: 0,
            nodes,
            accounts,
            trees: BTreeMap::from([(ContentTree::new().root(), ContentTree::new())]),
            bls: Self::bls_keys(),
            old: VecDeque::new(),
            included: 0,
            refused: 0,
            drafts: 0,
            seen: BTreeMap::new(),
        };
        mill.block(Vec::new(), 0);
        let mut begin = Vec::new();
        for account in mill.accounts.clone() {
            let sig = SIG;
            let by = None;
            begin.push(Tx::Faucet(Faucet { account, by, sig }));
        }
        mill.block(begin, 1);
        let registers = mill.nodes.clone().into_iter().map(|(_, provider)| {
            let account = AccountId(provider.0);
            Tx::Register(Register {
                provider,
                account,
                collateral: Amount::from_credits(60),
                auth: mill.auth(&account, 0),
                by: None,
                sig_account: SIG,
                sig_provider: SIG,
            })
        });
        let registers = registers.collect();
        mill.block(registers, 1);
        mill
    }

    fn auth(&self, account: &AccountId, ahead: u64) -> Auth {
        // Any unspent one that many beyond the first: of two that are the same, one is refused.
        let first = self.state.free_nonce(account, 0).unwrap_or(0);
        let nonce = self
            .state
            .free_nonce(account, first + ahead)
            .unwrap_or(first);
        Auth {
            nonce,
            expiry: self.state.head().height.saturating_add(50),
        }
    }

    /// Makes the next block, `slots` slots on, with the verdicts that are owed and what of `txs`
    /// can be included.
    fn block(&mut self, txs: Vec<Tx>, slots: u64) {
        let schedule = self.state.schedule();
        let next = schedule.slot_at(self.state.head().time) + slots;
        let time = schedule.slot_start(next).max(self.state.earliest_block());
        let (verdicts, evidence) = self.verdicts(time);
        let slot = self.state.slot_to_open(time);
        let mut reveal = [0; 96];
        reveal[..8].copy_from_slice(&self.dice.roll().to_le_bytes());
        let round = match self.dice.below(16) {
            0 => u32::try_from(1 + self.dice.below(9)).unwrap(),
            _ => 0,
        };
        let header = Header {
            height: self.state.head().height + 1,
            round,
            proposer: self.state.proposer(round),
            time,
            prev: self.state.head().hash,
            epoch: schedule.epoch_at(time),
            slot,
            beacon: slot.map(|_| Reveal(reveal)),
            ..blank_header()
        };
        let (before, keys) = (self.state.epoch(), self.state.sub_keys().clone());
        let events = self.state.begin(&header, &verdicts, &evidence).unwrap();
        self.note(&events);
        self.check_caps(&keys);
        let place = Place {
            height: header.height,
            epoch: self.state.epoch(),
            time,
        };
        for tx in txs {
            let keys = self.state.sub_keys().clone();
            match self.state.include(&tx, tx.stamp(), place) {
                Ok(events) => {
                    self.included += 1;
                    self.note(&events);
                    self.check_caps(&keys);
                }
                Err(_) => self.refused += 1,
            }
            if self.old.len() == OLD {
                self.old.pop_front();
            }
            self.old.push_back(tx);
        }
        self.state.seal(&header);
        self.state.head.hash = BlockHash(blake3::hash(&header.height.to_le_bytes()).into());
        self.check(before != self.state.epoch());
    }

    /// What validators say of the slots that are owed, with proofs of what they say is false.
    fn verdicts(&mut self, time: Time) -> (Vec<VerdictBatch>, Vec<Evidence>) {
        let mut evidence = Vec::new();
        let mut batches = Vec::new();
        for slot in self.state.slots_to_judge(time) {
            let asked: Vec<NodeId> = self
                .state
                .slot_providers(slot)
                .iter()
                .map(|p| p.node)
                .collect();
            let results = asked
                .iter()
                .map(|node| self.result(node, slot, &mut evidence));
            let results = results.collect();
            batches.push(VerdictBatch {
                slot,
                results,
                targeted: Vec::new(),
                proofs_root: Hash::default(),
            });
        }
        (batches, evidence)
    }

    fn result(
        &mut self,
        node: &NodeId,
        slot: SlotNo,
        evidence: &mut Vec<Evidence>,
    ) -> Option<Reason> {
        match self.dice.below(100) {
            0..86 => None,
            86..97 => Some(Reason::Silent),
            97..99 => Some(Reason::Excused),
            _ => {
                // Who is away is not asked, and can show nothing false.
                let Some(challenge) = self.state.challenge_for(node) else {
                    return Some(Reason::Maintenance);
                };
                let key = self.nodes.iter().find(|(_, id)| id == node).unwrap().0;
                let net = self.state.genesis_hash();
                let blob = false_proof(&challenge, &signer(key), &net);
                let verdict = larder_proofs::verify(&blob, &challenge, &net);
                assert!(verdict.is_err());
                evidence.push(Evidence {
                    slot,
                    provider: *node,
                    blob,
                });
                Some(Reason::Malformed)
            }
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the rest needs no proof of life"
    )]
    fn note(&mut self, events: &[Event]) {
        for event in events {
            let what = match event {
                Event::Opened {
                    provider, renter, ..
                } => {
                    let own = self.state.provider(provider).map(|p| p.payout);
                    if own == Some(*renter) {
                        "opened with oneself"
                    } else {
                        "opened"
                    }
                }
                Event::Revised { .. } => "revised",
                Event::Extended { .. } => "rate revised",
                Event::Closed {
                    why: crate::Ended::Expired,
                    ..
                } => "expired",
                Event::Closed {
                    why: crate::Ended::Fault,
                    ..
                } => "closed as fault",
                Event::Closed { .. } => "closed otherwise",
                Event::Charged { .. } => "charged",
                Event::Faulted { .. } => "faulted",
                Event::LossDeclared { .. } => "loss",
                Event::Skipped {
                    why: Skip::Start, ..
                } => "skipped: future start",
                Event::Skipped { .. } => "skipped",
                Event::Paid { .. } => "paid",
                Event::MaintenanceAnnounced { .. } => "maintenance",
                Event::Delegated { .. } => "delegated",
                Event::Revoked { .. } => "revoked",
                Event::EgressPaid { .. } => "egress",
                Event::CandidacyBegan { .. } => "candidate",
                Event::ValidatorJoined { .. } => "joined",
                Event::ValidatorLeft {
                    why: crate::Parting::Removed,
                    ..
                } => "removed",
                Event::ValidatorLeft {
                    why: crate::Parting::Resigned,
                    ..
                } => "resigned",
                Event::BondFreed { .. } => "bond freed",
                Event::ProposalMissed { .. } => "missed its turn",
                Event::Equivocated { .. } => "equivocated",
                Event::Censored { .. } => "censored",
                Event::Withdrawn { .. } => "withdrawn",
                _ => continue,
            };
            *self.seen.entry(what).or_default() += 1;
        }
    }

    /// Every rule of the money, over all providers.
    fn check(&self, boundary: bool) {
        let epoch = self.state.epoch();
        for p in self.state.providers() {
            let leaves = || p.active.iter().map(|(_, leaf)| leaf);
            let sum = |of: &dyn Fn(&ContractLeaf) -> Amount| -> u128 {
                leaves().map(|leaf| u128::from(of(leaf).0)).sum()
            };
            let pledged = sum(&|leaf| p.remaining_collateral(leaf));
            assert!(
                // Rounding: less than a nano a contract. `docs/protocol.md` §3.4.
                pledged <= u128::from(p.locked.0) + leaves().count() as u128,
                "{pledged} pledged, {} locked",
                p.locked
            );
            let collateral = sum(&|leaf| leaf.collateral);
            assert_eq!(collateral, u128::from(p.locked.0) + u128::from(p.slashed.0));
            let weight = sum(&|leaf| leaf.rate);
            assert_eq!(
                weight,
                u128::from(p.sum().0),
                "the sum in the tree is the money"
            );
            if boundary {
                let claims = sum(&|leaf| p.claim(leaf, epoch).unwrap());
                assert_eq!(claims, u128::from(p.escrow.0), "claims and escrow");
            }
        }
        // `seal` compares cached sums; this counts anew.
        let accounts: u128 = self
            .state
            .accounts
            .values()
            .map(|a| u128::from(a.balance.0) + u128::from(a.deposit.0))
            .sum();
        let providers: u128 = self.state.providers().map(|p| p.credit().unwrap()).sum();
        let burned = u128::from(self.state.burned().0);
        let records = self.state.validator_records();
        let bonds: u128 = records.map(|record| u128::from(record.bond.0)).sum();
        assert_eq!(
            accounts + providers + bonds + burned,
            u128::from(self.state.supply().0)
        );
    }

    /// No sub-key has spent more since `before` than its cap allows.
    fn check_caps(&mut self, before: &SubKeys) {
        let epoch = self.state.epoch();
        let mut spent = 0;
        for ((account, id), key) in self.state.sub_keys().iter() {
            let was = before.get(account, id).map(|key| key.spent_in(epoch));
            let is = key.spent_in(epoch);
            if was.unwrap_or_default() != is {
                spent += 1;
                assert!(
                    key.cap.is_none_or(|cap| is <= cap),
                    "{is} spent, the cap is {:?}",
                    key.cap
                );
            }
        }
        *self.seen.entry("spent by a sub-key").or_default() += spent;
    }

    fn run(&mut self, operations: u64) {
        while self.operations < operations {
            let active = self.active();
            let many = 1 + self.dice.below(100);
            let txs = (0..many).filter_map(|_| self.next(&active)).collect();
            // Mostly the next slot, sometimes the same one again, now and then days of silence.
            let slots = match self.dice.below(20) {
                0..4 => 0,
                4..19 => 1,
                _ => self.dice.below(20),
            };
            self.block(txs, slots);
            self.expire();
        }
    }

    /// Most providers take away what has ended in time: else nobody earns.
    fn expire(&mut self) {
        let z = self.state.epoch() + 1;
        let ended: Vec<(NodeId, ContractLeaf)> = self
            .active()
            .into_iter()
            .filter(|(_, leaf)| leaf.end_epoch <= z)
            .collect();
        let mut txs = Vec::new();
        for (key, leaf) in ended {
            if self.dice.chance(70) {
                let ops = self.owing(&leaf, vec![Op::CloseExpired(leaf.contract_id)]);
                txs.push(self.update(key, ops));
            }
        }
        if !txs.is_empty() {
            self.block(txs, 0);
        }
    }
}

fn blank_header() -> Header {
    Header {
        height: 0,
        round: 0,
        time: Time(0),
        prev: BlockHash([0; 32]),
        proposer: NodeId::default(),
        validators: Hash::default(),
        next_validators: Hash::default(),
        epoch: 0,
        slot: None,
        beacon: None,
        tx_root: Hash::default(),
        verdict_root: Hash::default(),
        state_root: Hash::default(),
    }
}

/// Parameters that differ in what money does: fees, vesting, terms.
fn params(run: u64) -> Params {
    let base = Params {
        validator_bond: Amount(1_000),
        ..dev().with_epoch(Millis(8_000))
    };
    match run {
        0 => base,
        1 => Params {
            fee_ppm: 13_333,
            burn_ppm: 7_777,
            vesting: 2,
            ..base
        },
        2 => Params {
            fee_ppm: 10_000,
            burn_ppm: 5_000,
            vesting: 7,
            faulted_after: 4,
            ..base
        },
        _ => Params {
            collateral_epochs: 3,
            vesting: 1,
            ..base
        },
    }
}

fn run(seed: u64) {
    let mut mill = Mill::new(params(seed), seed);
    mill.run(OPERATIONS / RUNS);
    let seen = &mill.seen;
    let (included, refused) = (mill.included, mill.refused);
    println!(
        "seed {seed}: {included} included, {refused} refused, height {}, {seen:?}",
        mill.state.head().height
    );
    for what in [
        "opened",
        "opened with oneself",
        "revised",
        "rate revised",
        "expired",
        "closed as fault",
        "charged",
        "faulted",
        "loss",
        "skipped: future start",
        "paid",
        "maintenance",
        "delegated",
        "revoked",
        "spent by a sub-key",
        "egress",
        "candidate",
        "joined",
        "removed",
        "resigned",
        "bond freed",
        "missed its turn",
        "equivocated",
        "censored",
        "withdrawn",
    ] {
        assert!(
            seen.get(what).is_some_and(|n| *n >= 3),
            "seed {seed} shows no {what}: {seen:?}"
        );
    }
    assert!(included > OPERATIONS / RUNS / 10 && refused > 0);
}

#[test]
fn a_million_operations_conserve_credit_first_quarter() {
    run(0);
}

#[test]
fn a_million_operations_conserve_credit_second_quarter() {
    run(1);
}

#[test]
fn a_million_operations_conserve_credit_third_quarter() {
    run(2);
}

#[test]
fn a_million_operations_conserve_credit_last_quarter() {
    run(3);
}
