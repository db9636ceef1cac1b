//! Ten thousand random blocks of a network whose validators come and go: every copy that applies them
//! from their bytes, from the genesis or from a snapshot on the way, has the same root after each.
//! `docs/protocol.md` §3.5, §3.8.

use super::validators::node;
use super::world::{World, genesis_of, owner, signer};
use super::{ALICE, BOB, NODE};
use crate::{
    Approve, Block, Change, Deposit, Equivocation, Event, Faucet, Op, State, Tx, Withdraw, verify,
};
use larder_proofs::{SignedVote, Vote, VoteKind};
use larder_types::{Amount, Hash, NodeId, Params, Profile, codec};
use std::collections::BTreeSet;

const BLOCKS: usize = 10_000;
/// A copy begins anew from a snapshot after so many.
const SNAPSHOT: usize = 1_000;
const FOUR: [u8; 4] = [60, 61, 62, 63];
/// Any of these may validate.
const MAY: std::ops::Range<u8> = 60..70;
const ACCOUNTS: [u8; 3] = [ALICE, BOB, NODE];

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(u64::try_from(of.len()).unwrap())).unwrap()]
    }
}

fn seat(dice: &mut Dice) -> u8 {
    dice.pick(&MAY.collect::<Vec<u8>>())
}

/// One more transaction, which may well be refused.
fn tx(world: &mut World, dice: &mut Dice) -> Option<Tx> {
    let net = world.state.genesis_hash();
    let (account, seed) = (dice.pick(&ACCOUNTS), seat(dice));
    let auth = world.auth(&signer(account).account());
    let provider = signer(NODE).node();
    let amount = Amount(1 + dice.below(1 << 30));
    match dice.below(100) {
        0..25 => {
            let to = dice.pick(&ACCOUNTS);
            Some(world.transfer(account, to, amount))
        }
        25..29 => {
            let bond = world.state.params().validator_bond;
            Some(Tx::Candidacy(Box::new(
                world.candidacy(seed, account, bond),
            )))
        }
        29..80 => {
            let seats: Vec<u8> = MAY.filter(|seed| world.is_seated(*seed)).collect();
            let by = signer(dice.pick(&seats));
            let change = change(&world.state, &node(seed), dice)?;
            let expiry = world.state.head().height + 1 + dice.below(200);
            Some(Tx::Approve(Approve::sign(&by, change, expiry, &net)))
        }
        80..83 => {
            world.state.validator(&node(seed))?;
            Some(world.resign(seed))
        }
        // Two keys of ten, so that enough stay.
        83 if seed > 67 => {
            let vote = |value| {
                let vote = Vote {
                    kind: VoteKind::Prevote,
                    height: 3,
                    round: 0,
                    value,
                };
                SignedVote::sign(vote, &signer(seed), &net)
            };
            Some(Tx::Equivocation(Box::new(Equivocation {
                a: vote(None),
                b: vote(Some(Hash([1; 32]))),
                reporter: Some(signer(account).account()),
            })))
        }
        84..88 => Some(Tx::Deposit(Deposit::sign(
            provider,
            &owner(account),
            amount,
            auth,
            &net,
        ))),
        88..92 => Some(Tx::Withdraw(Withdraw::sign(
            provider,
            &owner(NODE),
            amount,
            world.auth(&signer(NODE).account()),
            &net,
        ))),
        92 if dice.below(4) == 0 => {
            let leaf = world.draft(NODE, account, 2 + u32::try_from(dice.below(6)).unwrap());
            let put = world.sign(NODE, leaf, account, Some(auth));
            Some(world.update(NODE, vec![put]))
        }
        93..96 => {
            let next = world.state.epoch() + 1;
            let mut active = world.state.provider(&provider)?.active.iter();
            let (_, ended) = active.find(|(_, leaf)| leaf.end_epoch <= next)?;
            Some(world.update(NODE, vec![Op::CloseExpired(ended.contract_id)]))
        }
        _ => None,
    }
}

/// One that has begun, or a new one.
fn change(state: &State, node: &NodeId, dice: &mut Dice) -> Option<Change> {
    let begun: Vec<Change> = state.changes().map(|(change, _)| change).collect();
    if !begun.is_empty() && dice.below(3) > 0 {
        return Some(dice.pick(&begun));
    }
    let record = state.validator(node)?;
    let (node, since) = (record.node, record.since);
    Some(match dice.below(2) {
        0 => Change::Add { node, since },
        _ => Change::Remove { node, since },
    })
}

/// A copy of the ledger, which knows blocks by their bytes.
struct Follower(State);

impl Follower {
    fn follow(&mut self, bytes: &[u8], root: Hash) {
        let block: Block = codec::decode(bytes).unwrap();
        let block = verify::block(&self.0.authority(), block).unwrap();
        self.0.apply(&block).unwrap();
        assert_eq!(self.0.root(), root, "height {}", self.0.head().height);
    }

    fn snapshot(&self) -> Self {
        Self(codec::decode(&codec::encode(&self.0)).unwrap())
    }
}

#[test]
fn ten_thousand_random_blocks_give_one_root_on_every_copy() {
    let params = Params {
        tx_fee_per_byte: Amount(10),
        unbonding: 1,
        ..Params::profile(Profile::Dev)
    };
    let document = genesis_of(params, &FOUR);
    let (mut world, mut dice) = (World::of(&document), Dice(5));
    for account in ACCOUNTS {
        let net = world.state.genesis_hash();
        world.submit(Tx::Faucet(Faucet::sign(&owner(account), &net)));
    }
    world.block();
    world.submit(world.register(NODE, Amount::from_credits(5)));
    let mut whole = Follower(State::genesis(&document).unwrap());
    let mut begun = Follower(State::genesis(&document).unwrap());
    let mut sets = BTreeSet::new();
    for height in 1..=BLOCKS {
        if height > 1 {
            for _ in 0..dice.below(4) {
                if let Some(tx) = tx(&mut world, &mut dice) {
                    world.attempt(tx);
                }
            }
            world.answer();
            world.now = world.state.earliest_block();
            let round = u32::from(dice.below(20) == 0);
            let block = world.propose(round);
            world.commit(&block);
        }
        let block = world.blocks.last().unwrap();
        let (bytes, root) = (codec::encode(block), block.header.state_root);
        assert_eq!(root, world.state.root());
        sets.insert(block.header.validators);
        whole.follow(&bytes, root);
        begun.follow(&bytes, root);
        if height % SNAPSHOT == 0 {
            begun = begun.snapshot();
        }
    }
    assert_eq!(whole.0, world.state);
    assert_eq!(begun.0, world.state);
    let count = |is: fn(&Event) -> bool| world.events.iter().filter(|e| is(e)).count();
    let seen = [
        count(|e| matches!(e, Event::ValidatorJoined { .. })),
        count(|e| matches!(e, Event::ValidatorLeft { .. })),
        count(|e| matches!(e, Event::BondFreed { .. })),
        count(|e| matches!(e, Event::ProposalMissed { .. })),
        count(|e| matches!(e, Event::Opened { .. })),
        count(|e| matches!(e, Event::Paid { .. })),
        count(|e| matches!(e, Event::Withdrawn { .. })),
    ];
    assert!(seen.iter().all(|n| *n > 5), "{seen:?}");
    assert!(count(|e| matches!(e, Event::Equivocated { .. })) > 0);
    assert!(sets.len() > 20, "{} sets of validators", sets.len());
}
