//! What validators do not vote for, and that none of it stops the chain, whatever a provider sends to
//! whom and when. `docs/protocol.md` §3.5, §3.8.

use super::validators::node;
use super::world::{START, World, dev, signer};
use super::{ALICE, NODE};
use crate::objection::{Objection, QUIET_ROUND, ahead, grace, objection};
use crate::proofs_pool::ForwardRefusal;
use crate::{Block, Event, ProofsPool, Reason, Stamped, Unpaid, Verified};
use larder_types::{Amount, Millis, NodeId, SlotNo, Time};

const FOUR: [u8; 4] = [60, 61, 62, 63];

/// Four validators, each with a pool of its own, while one provider is asked.
struct Cluster {
    world: World,
    pools: [ProofsPool; 4],
    slot: SlotNo,
    close: Time,
}

impl Cluster {
    fn new() -> Self {
        let mut world = World::of_several(dev(), &FOUR);
        world.submit(world.register(NODE, Amount::ZERO));
        world.block();
        world.open(NODE, ALICE, 60);
        world.silent.insert(signer(NODE).node());
        world.run_to_epoch(1);
        let slot = world.state.slot_of(&signer(NODE).node());
        world.run_to(world.state.schedule().slot_start(slot));
        let close = world.state.schedule().slot_close(slot);
        let pool = ProofsPool::new(START);
        Self {
            pools: [pool.clone(), pool.clone(), pool.clone(), pool],
            world,
            slot,
            close,
        }
    }

    /// A time well before the window's end.
    fn early(&self) -> Time {
        self.close.before(grace(self.world.state.params()))
    }

    /// The provider's own sending to one validator.
    fn send(&mut self, to: usize, at: Time) {
        let (provider, state) = (signer(NODE).node(), &self.world.state);
        let pool = &mut self.pools[to];
        let challenge = pool.accept(state, &provider, b"proof", at).unwrap();
        pool.record(&challenge, b"proof".to_vec(), &Ok(()));
    }

    /// One validator's forward to another.
    fn forward(&mut self, from: usize, to: usize, at: Time) -> Result<(), ForwardRefusal> {
        let (provider, from) = (signer(NODE).node(), node(FOUR[from]));
        let (pool, state) = (&mut self.pools[to], &self.world.state);
        let forward = pool.accept_forward(state, (&from, &provider), b"proof", at)?;
        pool.record_forward(&forward, b"proof", &Ok(()));
        Ok(())
    }

    /// Its pool is lost with its process.
    fn restart(&mut self, who: usize, at: Time) {
        self.pools[who] = ProofsPool::new(at);
    }

    fn place(&self, of: &NodeId) -> usize {
        FOUR.iter().position(|seed| node(*seed) == *of).unwrap()
    }

    fn proposal(&self, round: u32) -> Verified<Block> {
        let by = self.world.state.proposer(round);
        self.proposal_with(&self.pools[self.place(&by)], round)
    }

    fn proposal_with(&self, pool: &ProofsPool, round: u32) -> Verified<Block> {
        let World {
            state,
            mempool,
            proposers,
            now,
            ..
        } = &self.world;
        let by = state.proposer(round);
        let made = proposers[&by].make(state, mempool, pool, round, *now);
        made.unwrap()
    }

    fn objections(&self, block: &Verified<Block>) -> Vec<Objection> {
        let (state, now) = (&self.world.state, self.world.now);
        let of = |pool| objection(state, pool, block, now);
        self.pools.iter().filter_map(of).collect()
    }

    /// Rounds until a block is final: it takes three of four.
    fn decide(&mut self) -> u32 {
        self.world.now = self.world.now.max(self.world.state.earliest_block());
        for round in 0..10 {
            let block = self.proposal(round);
            if self.objections(&block).len() <= 1 {
                self.world.commit(&block);
                return round;
            }
        }
        panic!("the chain stands still");
    }

    /// Decides until the slot is judged: rounds that each height took, and what the provider got.
    fn judge(&mut self) -> (Vec<u32>, Option<Reason>) {
        let mut rounds = Vec::new();
        while !self.world.state.judged.contains(&self.slot) {
            rounds.push(self.decide());
            assert!(rounds.len() < 100, "never judged");
        }
        let result = self.world.blocks.last().unwrap().verdicts[0].results[0];
        (rounds, result)
    }

    /// Lets the turn come to this validator.
    fn turn_to(&mut self, who: usize) {
        while self.place(&self.world.state.proposer(0)) != who {
            self.world.block();
        }
        assert!(self.world.now < self.early());
    }
}

#[test]
fn a_proof_that_all_have_passes_in_the_first_round() {
    let mut cluster = Cluster::new();
    let early = cluster.early();
    cluster.send(1, early);
    for to in [0, 2, 3] {
        cluster.forward(1, to, early.after(Millis(200))).unwrap();
    }
    cluster.world.now = cluster.close;
    assert_eq!(cluster.judge(), (vec![0], None));
    assert!(cluster.world.balance(NODE) > Amount::ZERO);
}

#[test]
fn a_proof_that_came_in_time_is_not_denied() {
    let mut cluster = Cluster::new();
    let early = cluster.early();
    cluster.send(0, early);
    for to in 1..4 {
        cluster.forward(0, to, early.after(Millis(200))).unwrap();
    }
    cluster.world.now = cluster.close;
    let (slot, provider) = (cluster.slot, signer(NODE).node());
    // A proposer that says it saw nothing, or that it was not there.
    let silent = ProofsPool::new(START);
    let block = cluster.proposal_with(&silent, 0);
    let denied = Objection::Denied { slot, provider };
    assert_eq!(cluster.objections(&block), [denied], "who had it early");
    // A forward counts as early where it came so.
    let mut cluster = Cluster::new();
    let early = cluster.early();
    cluster.send(0, early.before(Millis(100)));
    for to in 1..4 {
        cluster.forward(0, to, early).unwrap();
    }
    cluster.world.now = cluster.close;
    let block = cluster.proposal_with(&silent, 0);
    assert_eq!(cluster.objections(&block), [denied; 4]);
}

#[test]
fn nobody_passes_or_is_excused_without_a_reason() {
    let mut cluster = Cluster::new();
    let (slot, provider) = (cluster.slot, signer(NODE).node());
    // A pool that was told what nobody else knows, and one that claims to be new.
    let mut told = ProofsPool::new(START);
    let challenge = told.accept(&cluster.world.state, &provider, b"x", cluster.early());
    told.record(&challenge.unwrap(), b"x".to_vec(), &Ok(()));
    cluster.world.now = cluster.close.after(grace(cluster.world.state.params()));
    let block = cluster.proposal_with(&told, 0);
    let unproven = Objection::Unproven { slot, provider };
    assert_eq!(cluster.objections(&block), [unproven; 4]);
    let new = ProofsPool::new(cluster.close);
    let block = cluster.proposal_with(&new, 0);
    let results = &block.get().verdicts[0].results;
    assert_eq!(results, &[Some(Reason::Excused)]);
    let unexcused = Objection::Unexcused { slot, provider };
    assert_eq!(cluster.objections(&block), [unexcused; 4]);
    assert_eq!(cluster.judge(), (vec![0], Some(Reason::Silent)));
}

#[test]
fn a_block_from_the_future_gets_no_vote() {
    let mut cluster = Cluster::new();
    let ahead = ahead(cluster.world.state.params());
    cluster.world.now = cluster.close;
    let block = cluster.proposal(0);
    let time = block.get().header.time;
    cluster.world.now = time.before(ahead);
    assert_eq!(cluster.objections(&block), []);
    let now = cluster.world.now.before(Millis(1));
    cluster.world.now = now;
    assert_eq!(
        cluster.objections(&block),
        [Objection::Ahead { time, now }; 4]
    );
}

#[test]
fn a_proof_at_the_last_millisecond_stops_nobody_whoever_proposes() {
    for turn in 0..4 {
        let mut cluster = Cluster::new();
        cluster.turn_to(turn);
        cluster.send(0, cluster.close.before(Millis(1)));
        cluster.world.now = cluster.close;
        // Its forwards are still on the way: at most one more round.
        let (rounds, result) = cluster.judge();
        assert_eq!(rounds, [u32::from(turn == 0)], "{result:?}");
        assert_eq!(result, Some(Reason::Silent));
    }
    for turn in 0..4 {
        let mut cluster = Cluster::new();
        cluster.turn_to(turn);
        cluster.send(0, cluster.close.before(Millis(1)));
        for to in 1..4 {
            cluster
                .forward(0, to, cluster.close.after(Millis(50)))
                .unwrap();
        }
        cluster.world.now = cluster.close.after(Millis(100));
        let (rounds, result) = cluster.judge();
        assert_eq!(rounds, [0]);
        assert_eq!(
            result.is_none(),
            turn == 0,
            "only who had it in time says so"
        );
    }
}

#[test]
fn a_proof_sent_to_one_that_keeps_it_stops_nobody() {
    for turn in 0..4 {
        let mut cluster = Cluster::new();
        cluster.turn_to(turn);
        cluster.send(0, cluster.early());
        cluster.world.now = cluster.close;
        let (rounds, result) = cluster.judge();
        assert_eq!(
            (rounds, result),
            (vec![u32::from(turn == 0)], Some(Reason::Silent))
        );
    }
}

#[test]
fn validators_cut_in_halves_go_on_without_a_verdict_and_agree_once_they_hear_each_other() {
    let mut cluster = Cluster::new();
    let early = cluster.early();
    cluster.send(0, early.before(Millis(10)));
    cluster.forward(0, 1, early).unwrap();
    cluster.world.now = cluster.close;
    // Two hold it, two do not: neither half has its way, the chain goes on.
    assert_eq!(cluster.decide(), QUIET_ROUND);
    assert!(!cluster.world.state.judged.contains(&cluster.slot));
    assert!(cluster.world.blocks.last().unwrap().verdicts.is_empty());
    for (from, to) in [(0, 2), (1, 3)] {
        let now = cluster.world.now;
        cluster.forward(from, to, now).unwrap();
    }
    let (rounds, result) = cluster.judge();
    assert!(
        rounds.iter().all(|round| *round < QUIET_ROUND),
        "{rounds:?}"
    );
    assert_eq!(result, None);
}

#[test]
fn halves_that_never_hear_each_other_end_the_epoch_without_a_strike() {
    let mut cluster = Cluster::new();
    let early = cluster.early();
    cluster.send(0, early);
    cluster.send(1, early);
    cluster.world.now = cluster.close;
    while cluster.world.state.epoch() == 1 {
        cluster.decide();
    }
    let record = cluster.world.record(NODE);
    assert_eq!((record.misses, record.unpaid), (0, 1));
    let why = Unpaid::NoVerdict;
    let is_it = |e: &Event| matches!(e, Event::Unpaid { why: w, epoch: 1, .. } if *w == why);
    assert!(cluster.world.events.iter().any(is_it));
}

#[test]
fn a_restarted_validator_has_no_opinion_and_leaves_the_verdict_to_the_others() {
    for turn in 0..4 {
        let mut cluster = Cluster::new();
        cluster.turn_to(turn);
        let early = cluster.early();
        cluster.send(1, early);
        for to in [0, 2, 3] {
            cluster.forward(1, to, early.after(Millis(50))).unwrap();
        }
        cluster.restart(0, early.after(Millis(100)));
        cluster.world.now = cluster.close;
        let (rounds, result) = cluster.judge();
        // In its turn it makes a block that says nothing; the next one passes the provider.
        assert_eq!(rounds, vec![0; if turn == 0 { 2 } else { 1 }]);
        assert_eq!(result, None);
    }
}

#[test]
fn where_all_were_restarted_the_provider_is_excused() {
    let mut cluster = Cluster::new();
    let early = cluster.early();
    for who in 0..4 {
        cluster.send(who, early);
        cluster.restart(who, early.after(Millis(100)));
    }
    cluster.world.now = cluster.close;
    let (rounds, result) = cluster.judge();
    assert_eq!(result, Some(Reason::Excused));
    assert!(rounds.iter().all(|round| *round == 0), "{rounds:?}");
    let patience = cluster.close.after(grace(cluster.world.state.params()));
    assert!(cluster.world.state.head().time >= patience);
}

#[test]
fn one_validator_forwards_one_proof_of_a_provider() {
    let mut cluster = Cluster::new();
    let (provider, early) = (signer(NODE).node(), cluster.early());
    let stranger = (&provider, &provider);
    let (pool, state) = (&mut cluster.pools[0], &cluster.world.state);
    let refused = pool.accept_forward(state, stranger, b"x", early);
    assert_eq!(refused, Err(ForwardRefusal::NotAValidator));
    // A false one from one validator says nothing of the provider, and keeps no other's out.
    let lie = |pool: &mut ProofsPool, from: u8| {
        let forward = pool.accept_forward(state, (&node(from), &provider), b"x", early)?;
        let wrong = Err(larder_proofs::VerifyError::BadSignature);
        pool.record_forward(&forward, b"x", &wrong);
        Ok(())
    };
    assert_eq!(lie(pool, 61), Ok(()));
    assert_eq!(lie(pool, 61), Err(ForwardRefusal::Repeated));
    assert!(!pool.is_checking(cluster.slot));
    cluster.forward(2, 0, early).unwrap();
    assert_eq!(cluster.forward(3, 0, early), Err(ForwardRefusal::Proven));
    cluster.world.now = cluster.close;
    let results = cluster.proposal_with(&cluster.pools[0], 0);
    assert_eq!(results.get().verdicts[0].results, [None]);
}

#[test]
fn nobody_is_blamed_for_a_slot_that_no_block_opened() {
    let mut world = World::of_several(dev(), &FOUR);
    world.submit(world.register(NODE, Amount::ZERO));
    world.block();
    world.open(NODE, ALICE, 60);
    world.run_to_epoch(1);
    // The next block comes when the slot that asks it is over, and opens a later one.
    let mut epoch = 1;
    let schedule = world.state.schedule();
    let slot = loop {
        epoch += 1;
        assert!(epoch < 40, "its slot is always the last");
        world.run_to_epoch(epoch);
        let slot = world.state.slot_of(&signer(NODE).node());
        if slot > schedule.slot_no(epoch, 0) && slot < schedule.slot_no(epoch, 3) {
            break slot;
        }
    };
    world.now = schedule.slot_start(slot + 1);
    world.block();
    world.now = schedule.slot_close(slot);
    let block = world.propose(0);
    let provider = signer(NODE).node();
    assert_eq!(block.get().verdicts[0].results, [Some(Reason::Excused)]);
    let pool = ProofsPool::new(world.now);
    assert_eq!(objection(&world.state, &pool, &block, world.now), None);
    let mut blamed = block.into_inner();
    blamed.verdicts[0].results = vec![Some(Reason::Silent)];
    let blamed = own(blamed);
    let unasked = Some(Objection::Unasked { slot, provider });
    assert_eq!(objection(&world.state, &pool, &blamed, world.now), unasked);
    let mut away = blamed.into_inner();
    away.verdicts[0].results = vec![Some(Reason::Maintenance)];
    let away = own(away);
    let unexcused = Some(Objection::Unexcused { slot, provider });
    assert_eq!(objection(&world.state, &pool, &away, world.now), unexcused);
}

/// What a lying proposer makes.
fn own(block: Block) -> Verified<Block> {
    let stamps = block.stamps();
    Verified::own(block, stamps)
}
