//! Random histories: opens, revisions, extensions, renewals, handovers, misses, false proofs, declared
//! losses, closes of every kind, notices, questions for single contracts, absences, transfers,
//! delegations, revocations, replays and pauses, with the invariants checked after each block (see
//! `World::check_claims`) and the whole chain replayed at the end; and a provider's charges against its contracts' claims.

use super::world::{World, dev, owner, signer};
use crate::provider::Provider;
use crate::{Closing, Grant, Handover, May, Op, Targeted, Tx};
use larder_contracts::{Auth, SignedLeaf, extend};
use larder_keys::AccountSigner;
use larder_proofs::{AUTO_RENEW, ContractLeaf, TRANSFERABLE};
use larder_types::{Amount, ContractId, Epoch, Hash, Millis, Params};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const RENTERS: [u8; 2] = [10, 11];
const NODES: [u8; 3] = [20, 21, 22];
/// Sub-keys, shared by both renters.
const KEYS: std::ops::Range<u8> = 60..63;
/// What each contract of the charges' test holds at first.
const CHUNKS: u64 = 1 << 20;

#[derive(Debug, Clone)]
enum Step {
    Open {
        node: usize,
        renter: usize,
        term: u32,
        rate: u64,
    },
    Content {
        pick: usize,
    },
    Extend {
        pick: usize,
        factor: u64,
    },
    Lose {
        pick: usize,
        shards: BTreeSet<u32>,
        is_forged: bool,
    },
    Close {
        pick: usize,
    },
    CloseFaulted {
        pick: usize,
    },
    End {
        pick: usize,
        alone: bool,
    },
    Ask {
        pick: usize,
        deaf: bool,
    },
    Renew {
        pick: usize,
    },
    Move {
        pick: usize,
        to: usize,
    },
    Maintenance {
        node: usize,
        epochs: u32,
    },
    Transfer {
        from: usize,
        amount: u64,
    },
    Delegate {
        renter: usize,
        key: u8,
        may: u8,
        cap: Option<u64>,
        epochs: u32,
    },
    Revoke {
        renter: usize,
        key: u8,
    },
    /// From now on this sub-key signs, or the account key.
    Hand {
        renter: usize,
        key: Option<u8>,
    },
    Silence {
        node: usize,
    },
    Lie {
        node: usize,
    },
    Speak {
        node: usize,
    },
    Replay {
        pick: usize,
    },
    Pass {
        slots: u32,
    },
    Pause {
        epochs: u32,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..3usize, 0..2usize, 1..12u32, 1..2_000_000_000u64)
            .prop_map(|(node, renter, term, rate)| Step::Open { node, renter, term, rate }),
        4 => any::<usize>().prop_map(|pick| Step::Content { pick }),
        3 => (any::<usize>(), prop::collection::btree_set(0..6u32, 1..4), prop::bool::weighted(0.2))
            .prop_map(|(pick, shards, is_forged)| Step::Lose { pick, shards, is_forged }),
        2 => (any::<usize>(), 1..4u64).prop_map(|(pick, factor)| Step::Extend { pick, factor }),
        3 => any::<usize>().prop_map(|pick| Step::Close { pick }),
        3 => any::<usize>().prop_map(|pick| Step::CloseFaulted { pick }),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(pick, alone)| Step::End { pick, alone }),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(pick, deaf)| Step::Ask { pick, deaf }),
        1 => any::<usize>().prop_map(|pick| Step::Renew { pick }),
        1 => (any::<usize>(), 0..3usize).prop_map(|(pick, to)| Step::Move { pick, to }),
        2 => (0..3usize, 0..5u32)
            .prop_map(|(node, epochs)| Step::Maintenance { node, epochs }),
        1 => (0..2usize, any::<u64>()).prop_map(|(from, amount)| Step::Transfer { from, amount }),
        2 => (0..2usize, KEYS, 0..17u8, prop::option::of(0..200_000_000_000u64), 1..6u32).prop_map(
            |(renter, key, may, cap, epochs)| Step::Delegate { renter, key, may, cap, epochs }
        ),
        1 => (0..2usize, KEYS).prop_map(|(renter, key)| Step::Revoke { renter, key }),
        2 => (0..2usize, prop::option::weighted(0.8, KEYS))
            .prop_map(|(renter, key)| Step::Hand { renter, key }),
        2 => (0..3usize).prop_map(|node| Step::Silence { node }),
        1 => (0..3usize).prop_map(|node| Step::Lie { node }),
        1 => (0..3usize).prop_map(|node| Step::Speak { node }),
        1 => any::<usize>().prop_map(|pick| Step::Replay { pick }),
        6 => (1..24u32).prop_map(|slots| Step::Pass { slots }),
        1 => (1..12u32).prop_map(|epochs| Step::Pause { epochs }),
    ];
    prop::collection::vec(step, 10..70)
}

/// Every active contract and its node, by that node's key's seed.
fn all(world: &World) -> Vec<(u8, ContractLeaf)> {
    let of = |node: u8| {
        world
            .state
            .provider(&signer(node).node())
            .map(|p| (node, p))
    };
    NODES
        .into_iter()
        .filter_map(of)
        .flat_map(|(node, p)| p.active.iter().map(move |(_, leaf)| (node, *leaf)))
        .collect()
}

/// One of them, with its renter by that account's key's seed.
fn pick(world: &World, pick: usize) -> Option<(u8, u8, ContractLeaf)> {
    let all = all(world);
    let (node, leaf) = *all.get(pick.checked_rem(all.len())?)?;
    let renter = RENTERS
        .into_iter()
        .find(|r| signer(*r).account() == leaf.renter)?;
    Some((node, renter, leaf))
}

fn act(world: &mut World, step: &Step) {
    match *step {
        Step::Open {
            node,
            renter,
            term,
            rate,
        } => {
            let mut leaf = world.draft(NODES[node], RENTERS[renter], term);
            leaf.flags |= AUTO_RENEW | TRANSFERABLE;
            leaf.rate = Amount(rate);
            leaf.collateral = Amount(rate * 2);
            leaf.egress_deposit = Amount(rate / 3);
            let auth = world.auth(&leaf.renter);
            let auth = Auth {
                nonce: auth.nonce + u64::from(term),
                ..auth
            };
            let op = world.sign(NODES[node], leaf, RENTERS[renter], Some(auth));
            world.attempt(world.update(NODES[node], vec![op]));
        }
        Step::Content { pick: n } => {
            let Some((node, renter, leaf)) = pick(world, n) else {
                return;
            };
            let (_, op) = world.fill(node, &leaf, renter, 3);
            world.attempt(world.update(node, vec![op]));
        }
        Step::Lose {
            pick: n,
            ref shards,
            is_forged,
        } => {
            let Some((node, _, leaf)) = pick(world, n) else {
                return;
            };
            let tree = world.tree(&leaf);
            let held = (0u32..).zip(tree.leaves()).filter(|(_, s)| !s.is_empty());
            let lost: Vec<u32> = held
                .map(|(i, _)| i)
                .filter(|i| shards.contains(i))
                .collect();
            let mut loss = world.declare(&leaf, &lost, leaf.revision + 2);
            if is_forged && let Some(shard) = loss.shards.first_mut() {
                shard.leaf.root.0[0] ^= 1;
            }
            let update = world.update(node, vec![Op::DeclareLoss(loss)]);
            let refused = world.refused;
            world.attempt(update);
            assert!(!is_forged || world.refused > refused, "a forged loss");
        }
        Step::Extend { pick: n, factor } => {
            let Some((node, renter, leaf)) = pick(world, n) else {
                return;
            };
            let params = world.state.params().clone();
            let (capacity, start) = (leaf.capacity_chunks * factor, world.state.epoch() + 1);
            let price = Amount::from_credits(factor);
            let Ok(more) = extend(&leaf, capacity, price, 2, start, &params) else {
                return;
            };
            let auth = world.auth(&leaf.renter);
            let op = world.sign(node, more, renter, Some(auth));
            world.attempt(world.update(node, vec![op]));
        }
        Step::Close { pick: n } => {
            // Mostly what may close; now and then what may not yet.
            let ends = world.state.epoch() + Epoch::try_from(n % 5).unwrap();
            for (node, leaf) in all(world)
                .into_iter()
                .filter(|(_, leaf)| leaf.end_epoch <= ends)
            {
                world.attempt(world.update(node, vec![Op::CloseExpired(leaf.contract_id)]));
            }
        }
        Step::CloseFaulted { pick: n } => {
            let Some((node, renter, leaf)) = pick(world, n) else {
                return;
            };
            let refused = world.refused;
            world.attempt(world.close_faulted(&leaf, renter));
            let alone = world.state.faulted_alone(&leaf.contract_id);
            let is_sound = world.record(node).faulted.is_none() && alone.is_none();
            assert!(!is_sound || world.refused > refused, "a sound provider");
        }
        Step::End { pick: n, alone } => {
            let Some((node, renter, leaf)) = pick(world, n) else {
                return;
            };
            let (net, expiry) = (world.state.genesis_hash(), world.state.head().height + 9);
            let (id, key) = (leaf.contract_id, signer(renter));
            let tx = match alone {
                true => {
                    let notice = Closing::notice(&key, leaf.renter, id, expiry, &net);
                    Tx::CloseByRenter(notice)
                }
                false => {
                    let half = Closing::mutual(&key, leaf.renter, id, expiry, &net);
                    world.update(node, vec![Op::CloseMutual(half)])
                }
            };
            world.attempt(tx);
        }
        Step::Ask { pick: n, deaf } => {
            let Some((_, renter, leaf)) = pick(world, n) else {
                return;
            };
            if deaf {
                world.deaf.insert(leaf.contract_id);
            }
            let (net, hand) = (world.state.genesis_hash(), world.hand(renter));
            let auth = world.auth(&leaf.renter);
            let fee = Amount(8_001);
            let ask = Targeted::sign(&hand, leaf.contract_id, 8, fee, auth, &net);
            world.attempt(Tx::Targeted(ask));
        }
        Step::Renew { pick: n } => {
            let Some((node, _, leaf)) = pick(world, n) else {
                return;
            };
            world.attempt(world.update(node, vec![Op::Renew(leaf.contract_id)]));
        }
        Step::Move { pick: n, to } => {
            let Some((node, renter, leaf)) = pick(world, n) else {
                return;
            };
            let fresh = world.draft(NODES[to], renter, 30);
            let new = ContractLeaf {
                contract_id: fresh.contract_id,
                terms_hash: fresh.terms_hash,
                start_epoch: fresh.start_epoch,
                revision: 0,
                slash_acc: 0,
                unpaid_at_start: 0,
                ..leaf
            };
            let (net, heir) = (world.state.genesis_hash(), signer(NODES[to]));
            let (auth, hand) = (world.auth(&leaf.renter), world.hand(renter));
            let signed = SignedLeaf::sign(new, Some(auth), &heir.node(), &hand, &net);
            let handover = Handover::sign(leaf.contract_id, signed, &heir, &net);
            world.attempt(world.update(node, vec![Op::Transfer(Box::new(handover))]));
        }
        Step::Maintenance { node, epochs } => {
            let first = world.state.epoch() + 1 + epochs;
            world.attempt(world.maintenance(NODES[node], first, epochs));
        }
        Step::Transfer { from, amount } => {
            let from = RENTERS[from];
            let amount = Amount(amount % world.balance(from).0.max(1));
            let tx = world.transfer(from, RENTERS[0], amount);
            world.attempt(tx);
        }
        Step::Delegate {
            renter,
            key,
            may,
            cap,
            epochs,
        } => {
            let grant = Grant {
                may: May(may),
                cap: cap.map(Amount),
                issued: world.now,
                until: world.now.after(Millis(u64::from(epochs) * 8_000)),
            };
            world.attempt(world.delegate(RENTERS[renter], key, grant));
        }
        Step::Revoke { renter, key } => {
            world.attempt(world.revoke(RENTERS[renter], key, world.now));
        }
        Step::Hand { renter, key } => {
            let hand = key.map_or_else(
                || owner(RENTERS[renter]),
                |key| AccountSigner::sub(signer(RENTERS[renter]).account(), signer(key)),
            );
            world.hands.insert(RENTERS[renter], hand);
        }
        Step::Silence { node } => {
            world.silent.insert(signer(NODES[node]).node());
        }
        Step::Lie { node } => {
            world.liars.insert(signer(NODES[node]).node());
        }
        Step::Speak { node } => {
            world.silent.remove(&signer(NODES[node]).node());
            world.liars.remove(&signer(NODES[node]).node());
        }
        Step::Replay { pick } => {
            let old: Vec<Tx> = world.blocks.iter().flat_map(|b| b.txs.clone()).collect();
            if let Some(tx) = pick.checked_rem(old.len()).and_then(|i| old.get(i)) {
                assert!(world.admit(tx.clone()).is_err(), "replayed: {tx:?}");
            }
        }
        Step::Pass { slots } => {
            world.run_to(world.now.after(Millis(u64::from(slots) * 1_500)));
        }
        Step::Pause { epochs } => {
            world.now = world.now.after(Millis(u64::from(epochs) * 8_000));
            world.block();
        }
    }
}

/// Every node holds a contract with six shards, from epoch 2 on.
fn begin(world: &mut World) {
    for node in 0..NODES.len() {
        let open = Step::Open {
            node,
            renter: node % 2,
            term: 30,
            rate: 400_000_000 + node as u64,
        };
        act(world, &open);
        world.block();
    }
    world.run_to_epoch(1);
    for pick in [0, 0, 1, 1, 2, 2] {
        act(world, &Step::Content { pick });
        world.run_to_epoch(world.state.epoch() + 1);
    }
}

fn check_history(params: Params, steps: &[Step]) {
    let mut world = World::with(params.clone(), &[10, 11, 20, 21, 22], &[]);
    for node in NODES {
        let collateral = Amount::from_credits(10 * u64::from(node - 18));
        world.submit(world.register(node, collateral));
    }
    world.block();
    begin(&mut world);
    for step in steps {
        act(&mut world, step);
    }
    world.run_to_epoch(world.state.epoch() + 2);
    world.check_replay(params);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn credit_is_conserved_and_claims_are_covered(steps in steps()) {
        check_history(dev(), &steps);
    }

    #[test]
    fn so_it_is_with_fees_and_vesting(steps in steps()) {
        let params = Params { fee_ppm: 13_333, burn_ppm: 7_777, vesting: 2, ..dev() };
        check_history(params, &steps);
    }
}

#[derive(Debug, Clone)]
enum Charge {
    Open { rate: u64, collateral: u64 },
    Close { pick: usize },
    Take { epochs: u64 },
    Lose { pick: usize, chunks: u64 },
    Fault { pick: usize },
}

fn charges() -> impl Strategy<Value = Vec<Charge>> {
    let one = prop_oneof![
        (1..1u64 << 40, 0..1u64 << 44)
            .prop_map(|(rate, collateral)| Charge::Open { rate, collateral }),
        any::<usize>().prop_map(|pick| Charge::Close { pick }),
        (0..9u64).prop_map(|epochs| Charge::Take { epochs }),
        (any::<usize>(), 1..CHUNKS).prop_map(|(pick, chunks)| Charge::Lose { pick, chunks }),
        any::<usize>().prop_map(|pick| Charge::Fault { pick }),
    ];
    prop::collection::vec(one, 1..120)
}

fn charge(p: &mut Provider, open: &mut BTreeMap<u32, ContractLeaf>, step: &Charge, z: Epoch) {
    match *step {
        Charge::Open { rate, collateral } => {
            if p.slash_acc < crate::provider::SLASH_ACC_LEAST || p.free < Amount(collateral) {
                return;
            }
            let leaf = ContractLeaf {
                contract_id: ContractId([1; 32]),
                start_epoch: z,
                end_epoch: z + 1,
                rate: Amount(rate),
                collateral: Amount(collateral),
                used_chunks: CHUNKS,
                capacity_chunks: CHUNKS,
                ..ContractLeaf::default()
            };
            let active = p.open(&leaf, Amount(rate)).unwrap();
            let index = Arc::make_mut(&mut p.active).insert(active).unwrap();
            open.insert(index, active);
        }
        Charge::Close { pick } => {
            let Some(n) = pick.checked_rem(open.len()) else {
                return;
            };
            let (index, leaf) = open.iter().nth(n).map(|(i, l)| (*i, *l)).unwrap();
            open.remove(&index);
            let back = p.remaining_collateral(&leaf).min(p.locked);
            let settled = p.close(&leaf, z).unwrap();
            assert_eq!(settled.freed, back);
            let lost = leaf.collateral.0 - back.0;
            assert_eq!(settled.refund, Amount(leaf.rate.0 + lost));
            Arc::make_mut(&mut p.active).remove(index).unwrap();
            p.start_anew();
        }
        Charge::Fault { pick } => {
            let Some(n) = pick.checked_rem(open.len()) else {
                return;
            };
            let (index, leaf) = open.iter().nth(n).map(|(i, l)| (*i, *l)).unwrap();
            open.remove(&index);
            let free = p.free;
            let settled = p.close_faulted(&leaf, z).unwrap();
            assert_eq!(settled.refund, Amount(leaf.rate.0 + leaf.collateral.0));
            assert_eq!((settled.freed, p.free), (Amount::ZERO, free));
            Arc::make_mut(&mut p.active).remove(index).unwrap();
            p.start_anew();
        }
        Charge::Lose { pick, chunks } => {
            let Some(n) = pick.checked_rem(open.len()) else {
                return;
            };
            let (index, old) = open.iter().nth(n).map(|(i, l)| (*i, *l)).unwrap();
            let remains = larder_contracts::Remains {
                content_root: Hash::default(),
                chunks: chunks % old.used_chunks,
                revision: 1,
            };
            let Some(new) = larder_contracts::lose(&old, &remains, &dev()) else {
                return;
            };
            let back = p.remaining_collateral(&old).min(p.locked);
            let credit = p.credit().unwrap();
            let (leaf, settled) = p.lose(&old, &new, z).unwrap();
            assert_eq!(
                p.credit().unwrap() + u128::from(settled.refund.0),
                credit,
                "the renter gets what the provider loses"
            );
            let kept = p.remaining_collateral(&leaf).min(back);
            let lost = back.0 - kept.0;
            assert_eq!(settled.freed, Amount(lost / 2));
            let charged = (old.collateral.0 - back.0) - (leaf.collateral.0 - kept.0);
            let unused = old.rate.0 - leaf.rate.0;
            assert_eq!(settled.refund, Amount(unused + charged + lost.div_ceil(2)));
            Arc::make_mut(&mut p.active).replace(index, leaf).unwrap();
            open.insert(index, leaf);
        }
        Charge::Take { epochs } => {
            let (locked, slashed) = (p.locked, p.slashed);
            let taken = p.charge(p.pay_of(epochs));
            assert_eq!(taken, Amount(p.sum().0 * epochs).min(locked));
            assert_eq!(p.slashed, Amount(slashed.0 + taken.0));
        }
    }
    let claims: Amount = open.values().map(|leaf| p.remaining_collateral(leaf)).sum();
    // Rounding may have them come to more, by less than a nano each.
    assert!(claims.0 <= p.locked.0 + open.len() as u64);
    let collateral: Amount = open.values().map(|leaf| leaf.collateral).sum();
    assert_eq!(collateral.0, p.locked.0 + p.slashed.0);
    let escrow: Amount = open.values().map(|leaf| leaf.rate).sum();
    assert_eq!(p.escrow, escrow);
}

proptest! {
    #[test]
    fn collateral_is_shared_out_whatever_is_charged(steps in charges()) {
        let (node, account) = (signer(20).node(), signer(20).account());
        let mut p = Provider::new(node, 0, account, Amount(1 << 50));
        let mut open = BTreeMap::new();
        for step in &steps {
            charge(&mut p, &mut open, step, 5);
        }
    }
}
