//! A million random operations from one seed: opens with oneself and others, future starts,
//! replays, rates that change after misses, closes in the last slot, declared losses, faults, sub-keys. After
//! each block credit is conserved, claims are covered by escrow and pledges by what is locked.
//! Signatures are not made here: what they guard has tests of its own.

use super::world::{dev, false_proof, genesis, signer};
use crate::check::Place;
use crate::{
    CloseFaulted, Delegate, Deposit, Event, Evidence, Faucet, Header, Loss, Maintenance, May, Op,
    Reason, Register, Revoke, Skip, State, SubKeys, Transfer, TreeUpdate, Tx, VerdictBatch,
};
use larder_contracts::{Auth, Draft, SignedLeaf, Voucher, egress};
use larder_proofs::{ContentTree, ContractLeaf, Reveal, ShardLeaf};
use larder_types::{
    AccountId, Amount, BlockHash, Hash, Millis, NodeId, Params, ShardRoot, Signature, SlotNo,
    SubKeyId, Time,
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
    old: VecDeque<Tx>,
    included: u64,
    refused: u64,
    drafts: u64,
    /// What happened, so that a run that stays in one corner is no proof.
    seen: BTreeMap<&'static str, u64>,
}

impl Mill {
    fn new(params: Params, seed: u64) -> Self {
        let state = State::genesis(&genesis(params)).unwrap();
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
        let header = Header {
            height: self.state.head().height + 1,
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
            match self.state.include(&tx, place) {
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
                pledged <= u128::from(p.locked.0),
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
        assert_eq!(
            accounts + providers + burned,
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

    /// The key that signs for an account: its own or a sub-key, authorised or not.
    fn hand(&mut self) -> Option<SubKeyId> {
        self.dice.chance(40).then(|| self.sub_key())
    }

    fn sub_key(&mut self) -> SubKeyId {
        let number = self.dice.below(u64::from(HANDS));
        SubKeyId([u8::try_from(number).unwrap(); 32])
    }

    fn delegate(&mut self) -> Option<Tx> {
        self.operations += 1;
        let account = self.dice.pick(&self.accounts)?;
        let now = self.state.head().time;
        let issued = now.after(Millis(self.dice.below(20_000)));
        let cap = self.dice.chance(80).then(|| self.dice.magnitude(37));
        Some(Tx::Delegate(Delegate {
            account,
            admin: [9; 32],
            subkey: self.sub_key(),
            may: May(u8::try_from(self.dice.below(16)).unwrap()),
            cap: cap.map(Amount),
            issued,
            until: issued.after(Millis(self.dice.below(400_000))),
            sig_account: SIG,
            sig_admin: SIG,
        }))
    }

    fn revoke(&mut self) -> Option<Tx> {
        self.operations += 1;
        Some(Tx::Revoke(Revoke {
            account: self.dice.pick(&self.accounts)?,
            admin: [9; 32],
            subkey: self.sub_key(),
            issued: self.state.head().time,
            sig_admin: SIG,
        }))
    }

    /// Every active contract with its provider.
    fn active(&self) -> Vec<(NodeId, ContractLeaf)> {
        self.state
            .providers()
            .flat_map(|p| p.active.iter().map(|(_, leaf)| (p.node, *leaf)))
            .collect()
    }

    fn update(&mut self, provider: NodeId, ops: Vec<Op>) -> Tx {
        self.operations += u64::try_from(ops.len()).unwrap();
        Tx::TreeUpdate(TreeUpdate {
            provider,
            epoch: self.state.epoch(),
            ops,
            sig_provider: SIG,
        })
    }

    fn put(&mut self, leaf: ContractLeaf, auth: Option<Auth>) -> Op {
        Op::Put(SignedLeaf {
            leaf,
            auth,
            by: self.hand(),
            sig_renter: SIG,
        })
    }

    fn open(&mut self) -> Tx {
        let (_, provider) = self.dice.pick(&self.nodes).unwrap();
        // In these tests a provider's account has its node's key.
        let own = AccountId(provider.0);
        let renter = match self.dice.chance(30) {
            true => own,
            false => self.dice.pick(&self.accounts).unwrap(),
        };
        self.drafts += 1;
        let mut nonce16 = [0; 16];
        nonce16[..8].copy_from_slice(&self.drafts.to_le_bytes());
        let start = self.state.epoch()
            + u32::try_from([1, 1, 1, 1, 2, 3, 0][usize::try_from(self.dice.below(7)).unwrap()])
                .unwrap();
        let term = u32::try_from(1 + self.dice.below(24)).unwrap();
        let mut leaf = Draft {
            provider,
            renter,
            nonce16,
            start,
            term,
            capacity_chunks: 1 << 14,
            price: Amount::from_credits(1),
            collateral_epochs: 0,
        }
        .leaf(self.state.params());
        leaf.rate = Amount(self.dice.magnitude(33).max(1));
        leaf.collateral = Amount(leaf.rate.0 * self.dice.below(9));
        leaf.egress_deposit = Amount(self.dice.magnitude(30) * self.dice.below(2));
        leaf.egress_price = Amount(self.dice.magnitude(12));
        let ahead = self.dice.below(40);
        let auth = self.auth(&renter, ahead);
        let op = self.put(leaf, Some(auth));
        self.update(provider, vec![op])
    }

    fn content(&mut self, key: NodeId, leaf: &ContractLeaf) -> Tx {
        let mut tree = self
            .trees
            .get(&leaf.content_root)
            .cloned()
            .unwrap_or_default();
        for _ in 0..1 + self.dice.below(4) {
            let mut root = [0; 32];
            root[..8].copy_from_slice(&self.dice.roll().to_le_bytes());
            let (root, chunks, tag) = (ShardRoot(root), 16, [0; 8]);
            tree.push(ShardLeaf { root, chunks, tag }).unwrap();
        }
        let next = ContractLeaf {
            revision: leaf.revision + 1,
            depth: tree.depth(),
            content_root: tree.root(),
            used_chunks: tree.chunks(),
            ..*leaf
        };
        self.keep(tree);
        let op = self.put(next, None);
        let ops = match self.dice.chance(30) {
            true => self.owing(leaf, vec![op]),
            false => vec![op],
        };
        self.update(key, ops)
    }

    /// Trees of contracts that have ended go, so that memory stays small.
    fn keep(&mut self, tree: ContentTree) {
        if self.trees.len() > 4_096 {
            let live: Vec<Hash> = self
                .active()
                .iter()
                .map(|(_, leaf)| leaf.content_root)
                .collect();
            self.trees.retain(|root, _| live.contains(root));
        }
        self.trees.insert(tree.root(), tree);
    }

    fn revise_rate(&mut self, key: NodeId, leaf: &ContractLeaf) -> Tx {
        let end = leaf.end_epoch + 7 * u32::try_from(self.dice.below(3)).unwrap();
        let rate = Amount(self.dice.magnitude(34).max(1));
        let next = ContractLeaf {
            revision: leaf.revision + 1,
            start_epoch: self.state.epoch() + 1,
            end_epoch: end,
            rate,
            collateral: Amount(rate.0 * self.dice.below(6)),
            ..*leaf
        };
        let ahead = self.dice.below(40);
        let auth = self.auth(&leaf.renter, ahead);
        let op = self.put(next, Some(auth));
        self.update(key, vec![op])
    }

    /// An operation on a contract, and what its reader owes beside it, mostly no more than it costs.
    fn owing(&mut self, leaf: &ContractLeaf, mut ops: Vec<Op>) -> Vec<Op> {
        let bytes = self.dice.magnitude(40);
        let most = egress(leaf.egress_price, bytes).0;
        let nonce = u64::from(leaf.start_epoch) + u64::from(self.dice.chance(5));
        let (_, provider) = self.dice.pick(&self.nodes).unwrap();
        let holder = self.state.contract(&leaf.contract_id).map(|c| c.1);
        ops.push(Op::Settle(Box::new(Voucher {
            provider: holder.unwrap_or(provider),
            reader: leaf.renter,
            contract: leaf.contract_id,
            bytes_total: bytes,
            credits_total: Amount(most.saturating_sub(self.dice.below(9)) + self.dice.below(2)),
            nonce,
            by: self.hand(),
            sig_reader: SIG,
        })));
        ops
    }

    fn lose(&mut self, key: NodeId, leaf: &ContractLeaf) -> Option<Tx> {
        let mut tree = self.trees.get(&leaf.content_root)?.clone();
        let held: Vec<u32> = (0u32..)
            .zip(tree.leaves())
            .filter(|(_, shard)| !shard.is_empty())
            .map(|(index, _)| index)
            .collect();
        let lost = held
            .iter()
            .filter(|_| self.dice.chance(40))
            .copied()
            .take(64);
        let lost: std::collections::BTreeSet<u32> = lost.collect();
        let shards = tree.lost_shards(&lost)?;
        for index in &lost {
            tree.clear(*index);
        }
        self.keep(tree);
        let loss = Loss {
            contract: leaf.contract_id,
            revision: leaf.revision + 2,
            shards,
        };
        Some(self.update(key, vec![Op::DeclareLoss(loss)]))
    }

    /// One more transaction, of any kind.
    fn next(&mut self, active: &[(NodeId, ContractLeaf)]) -> Option<Tx> {
        let old: Vec<usize> = (0..self.old.len()).collect();
        let kind = self.dice.below(100);
        let one = self.dice.pick(active);
        match (kind, one) {
            (0..20, _) => {
                self.operations += 1;
                let from = self.dice.pick(&self.accounts)?;
                let to = self.dice.pick(&self.accounts)?;
                let amount = Amount(self.dice.magnitude(37));
                let ahead = self.dice.below(60);
                let auth = self.auth(&from, ahead);
                let (by, sig) = (self.hand(), SIG);
                Some(Tx::Transfer(Transfer {
                    from,
                    to,
                    amount,
                    auth,
                    by,
                    sig,
                }))
            }
            (20..30, _) => {
                self.operations += 1;
                let again = self.dice.pick(&old)?;
                self.old.get(again).cloned()
            }
            (30..33, _) => {
                self.operations += 1;
                let (_, provider) = self.dice.pick(&self.nodes)?;
                let from = self.dice.pick(&self.accounts)?;
                let amount = Amount(self.dice.magnitude(36));
                let auth = self.auth(&from, 0);
                let (by, sig) = (self.hand(), SIG);
                Some(Tx::Deposit(Deposit {
                    provider,
                    from,
                    amount,
                    auth,
                    by,
                    sig,
                }))
            }
            (33, _) => {
                self.operations += 1;
                let (_, provider) = self.dice.pick(&self.nodes)?;
                let first = self.state.epoch() + 1 + u32::try_from(self.dice.below(4)).unwrap();
                let epochs = 1 + u32::try_from(self.dice.below(4)).unwrap();
                Some(Tx::Maintenance(Maintenance {
                    provider,
                    first,
                    epochs,
                    sig_provider: SIG,
                }))
            }
            (34..37, _) => self.delegate(),
            (37, _) => self.revoke(),
            (38..55, _) | (_, None) => Some(self.open()),
            (55..70, Some((key, leaf))) => Some(self.content(key, &leaf)),
            (70..80, Some((key, leaf))) => Some(self.revise_rate(key, &leaf)),
            (80..84, Some((key, leaf))) => self.lose(key, &leaf),
            (84..90, Some((_, leaf))) => {
                self.operations += 1;
                let expiry = self.state.head().height + 50;
                let (contract, renter) = (leaf.contract_id, leaf.renter);
                let (by, sig) = (self.hand(), SIG);
                Some(Tx::CloseFaulted(CloseFaulted {
                    contract,
                    renter,
                    expiry,
                    by,
                    sig,
                }))
            }
            (_, Some((key, leaf))) => {
                Some(self.update(key, vec![Op::CloseExpired(leaf.contract_id)]))
            }
        }
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
        time: Time(0),
        prev: BlockHash([0; 32]),
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
    let base = dev().with_epoch(Millis(8_000));
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
