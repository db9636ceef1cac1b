//! The world: nodes, network, validator and checkers under one virtual clock. It carries out what
//! engines want and decides nothing for them.

use crate::chain::{Applied, Chain};
use crate::checkers::purse::Purse;
use crate::checkers::{Checkers, Sight};
use crate::dice::{DAY, Dice};
use crate::net::Call;
use crate::node::Node;
use crate::queue::{Happening, Life, Queue};
use crate::report::Report;
use crate::run::{Options, Progress};
use crate::setup::{Founder, START, Setting};
use crate::trace::Trace;
use crate::weather::Weather;
use larder_contracts::SignedOffer;
use larder_engine::Token;
use larder_engine::io::{Effect, Input, OpId, Outcome, Submission, SubmitError};
use larder_engine::view::BlockInput;
use larder_ledger::{Event, Verdict};
use larder_types::{Amount, Millis, NodeId, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a block takes to a node, milliseconds.
const BLOCK_DELAY: (u64, u64) = (20, 1_500);
/// How long a node takes to catch up after a start, milliseconds.
const SYNC_DELAY: (u64, u64) = (500, 5_000);
/// How long one of many missed blocks takes, milliseconds.
const BACKLOG_DELAY: (u64, u64) = (1, 20);
/// A node that does not reach the validator tries again after this.
const SYNC_AGAIN: Millis = Millis(600_000);
/// A node that is going down is gone after one in so many of an epoch, whatever it does.
const LAST_MOMENT: u64 = 12;
/// A node's power goes before one of so many next effects.
const FUSE: u64 = 8;
/// Ticks in a row that may do nothing while a deadline has passed.
const PATIENCE: u32 = 3;
/// A deadline that has passed and asks for nothing is looked at again after this.
const SPIN: Millis = Millis(1_000);

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) setting: Setting,
    pub(crate) now: Time,
    pub(crate) queue: Queue,
    pub(crate) nodes: Vec<Node>,
    pub(crate) index: BTreeMap<NodeId, usize>,
    pub(crate) chain: Chain,
    pub(crate) founder: Founder,
    pub(crate) weather: Weather,
    pub(crate) calls: BTreeMap<Token, Call>,
    pub(crate) next_token: u64,
    /// The newest offer of each provider.
    pub(crate) board: BTreeMap<NodeId, SignedOffer>,
    pub(crate) dice: Dice,
    pub(crate) checkers: Checkers,
    pub(crate) report: Report,
    pub(crate) trace: Trace,
    /// No backup begins after this.
    pub(crate) closing: Time,
    paid: Amount,
}

impl World {
    /// A world in which nothing has happened.
    pub(crate) fn new(
        options: Options,
        setting: Setting,
        chain: Chain,
        founder: Founder,
        nodes: Vec<Node>,
    ) -> Self {
        let index = nodes.iter().enumerate().map(|(i, n)| (n.id, i)).collect();
        let count = |f: fn(&&Node) -> bool| {
            u32::try_from(nodes.iter().filter(f).count()).unwrap_or(u32::MAX)
        };
        let report = Report::new(
            setting.scenario,
            options,
            count(|n| n.provide.is_some()),
            count(|n| n.keeper.is_some()),
        );
        Self {
            options,
            setting,
            now: START,
            queue: Queue::default(),
            index,
            chain,
            founder,
            weather: Weather::default(),
            calls: BTreeMap::new(),
            next_token: 0,
            board: BTreeMap::new(),
            dice: Dice::new(options.seed, "world", 0),
            checkers: Checkers::default(),
            report,
            trace: Trace::default(),
            closing: Time(u64::MAX),
            paid: Amount::ZERO,
            nodes,
        }
    }

    /// Runs until the scenario's end.
    pub(crate) fn run(mut self, progress: &mut dyn FnMut(Progress)) -> Report {
        let end = START.after(Millis(u64::from(self.options.days) * DAY));
        while let Some((at, what)) = self.queue.pop() {
            if at > end {
                break;
            }
            self.now = at;
            if matches!(what, Happening::Day) {
                progress(self.progress());
            }
            self.happen(what);
        }
        self.now = end;
        self.last_look();
        self.report.epochs = self.chain.state.epoch();
        self.report.paid = self.paid.to_string();
        self.checkers.data.overdue(self.now);
        let dropped = self.report.dropped;
        let account = self.watched(|purse, sight| purse.close(sight, dropped));
        self.report.purses.extend(account.flatten());
        self.report.caught = self.checkers.proofs.caught();
        self.checkers.tell(&mut self.report);
        self.report.trace_hash = self.trace.finish();
        self.report
    }

    fn last_look(&mut self) {
        self.checkpoint();
        let sight = Sight {
            now: self.now,
            nodes: &self.nodes,
            index: &self.index,
            state: &self.chain.state,
        };
        self.checkers.data.look_at_all(&sight);
        if self.setting.settles {
            let Checkers {
                data,
                repair,
                settled,
                ..
            } = &mut self.checkers;
            settled.look(&sight, repair, data);
        }
    }

    /// Lets the checker of the watched provider's income look, where one is watched.
    pub(crate) fn watched<T>(
        &mut self,
        look: impl FnOnce(&mut Purse, &Sight<'_>) -> T,
    ) -> Option<T> {
        let sight = Sight {
            now: self.now,
            nodes: &self.nodes,
            index: &self.index,
            state: &self.chain.state,
        };
        let purse = self.checkers.purse.as_mut()?;
        Some(look(purse, &sight))
    }

    fn progress(&self) -> Progress {
        let day = self.now.since(START).0 / DAY;
        Progress {
            day: u32::try_from(day).unwrap_or(u32::MAX),
            days: self.options.days,
            blocks: self.report.blocks,
            segments: self.report.durable,
        }
    }

    /// Plans something for a while from now.
    pub(crate) fn later(&mut self, wait: Millis, what: Happening) {
        self.queue.push(self.now.after(wait), what);
    }

    fn lives(&self, life: Life) -> bool {
        self.nodes[life.node].alive(life.node) == Some(life)
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Input(life, input) if self.lives(life) => self.step(life.node, input),
            Happening::Tick(life, tick) if self.lives(life) => self.tick(life.node, tick),
            Happening::Block(life, applied) if self.lives(life) => {
                self.follow(life.node, &applied, false);
            }
            Happening::Sync(life) if self.lives(life) => self.sync(life),
            Happening::Resume(life) if self.lives(life) => self.resume(life.node),
            Happening::Again(life, segment) if self.lives(life) => {
                self.hand_over(life.node, segment);
            }
            Happening::Arrived(life, token) if self.lives(life) => self.arrived(life.node, token),
            Happening::Out(life) if self.lives(life) => self.leave(life.node),
            Happening::Scrub(life) if self.lives(life) => self.scrub(life),
            // Meant for a life that has ended.
            Happening::Input(..)
            | Happening::Tick(..)
            | Happening::Block(..)
            | Happening::Sync(_)
            | Happening::Resume(_)
            | Happening::Again(..)
            | Happening::Out(_)
            | Happening::Scrub(_)
            | Happening::Arrived(..) => {}
            Happening::Validate(generation) => self.validate(generation),
            Happening::Submit(life, op, what) => self.submitted(life, op, what),
            Happening::Request {
                from,
                token,
                to,
                request,
            } => self.requested(from, token, to, request),
            Happening::Stream {
                from,
                token,
                to,
                header,
            } => self.opened(from, token, to, header),
            Happening::Timeout(token) => self.timeout(token),
            Happening::Session(i) => self.session(i),
            Happening::Death(i) => self.die(i),
            Happening::Join => self.newcomer(),
            Happening::Fault(fault) => self.fault(&fault),
            Happening::Gossip(i) => self.look_around(i),
            Happening::Backup(i) => self.backup(i),
            Happening::Restore(i) => self.restore(i),
            Happening::Turn(i) => self.turn(i),
            Happening::Cheat(i) => self.cheat(i),
            Happening::Checkpoint => {
                self.checkpoint();
                self.later(Millis(self.checkpoint_every()), Happening::Checkpoint);
            }
            Happening::Day => self.later(Millis(DAY), Happening::Day),
        }
    }

    /// Tells an engine something and carries out what it wants.
    pub(crate) fn step(&mut self, i: usize, input: Input) {
        let node = &mut self.nodes[i];
        let Some(engine) = node.engine.as_mut() else {
            return;
        };
        self.report.steps += 1;
        self.trace.input(self.now, i, &input);
        if let Input::Done { op, .. } = &input {
            node.disk.synced(*op);
        }
        let effects: Vec<Effect> = engine.step(self.now, node.dice.rng(), input);
        for effect in effects {
            self.nodes[i].effects += 1;
            if self.nodes[i].burns() {
                self.report.crashes += 1;
                return self.leave(i);
            }
            self.trace.effect(&effect);
            self.effect(i, effect);
        }
        self.rearm(i);
    }

    fn tick(&mut self, i: usize, tick: u64) {
        if self.nodes[i].tick.0 != tick {
            return;
        }
        self.nodes[i].tick.1 = None;
        let effects = self.nodes[i].effects;
        self.step(i, Input::Tick);
        let node = &mut self.nodes[i];
        let after = node.engine.as_ref().and_then(|e| e.deadline());
        let idle = node.effects == effects && after.is_some_and(|at| at <= self.now);
        node.idle = if idle { node.idle + 1 } else { 0 };
        if node.idle > PATIENCE {
            // Passed deadlines, and nothing is done about them: the production driver would spin.
            self.checkers.rest.spun(self.now, i);
            self.arm(i, self.now.after(SPIN));
        } else {
            self.checkers.rest.rested();
        }
    }

    fn rearm(&mut self, i: usize) {
        let deadline = self.nodes[i].engine.as_ref().and_then(|e| e.deadline());
        match deadline {
            Some(at) => self.arm(i, at.max(Time(self.now.0 + 1))),
            None => self.nodes[i].tick = (self.nodes[i].tick.0 + 1, None),
        }
    }

    fn arm(&mut self, i: usize, at: Time) {
        let Some(life) = self.nodes[i].alive(i) else {
            return;
        };
        let tick = &mut self.nodes[i].tick;
        if tick.1 != Some(at) {
            *tick = (tick.0 + 1, Some(at));
            let number = tick.0;
            self.queue.push(at, Happening::Tick(life, number));
        }
    }

    /// A node comes or goes.
    fn session(&mut self, i: usize) {
        if self.nodes[i].dead {
            return;
        }
        let Some(life) = self.nodes[i].alive(i) else {
            let uptime = self.nodes[i].uptime;
            let stays = uptime.up(&mut self.dice, self.now);
            self.power_on(i);
            return self.later(stays, Happening::Session(i));
        };
        // Half of the stops come in the middle of a step.
        if self.dice.one_in(2) {
            self.crash_soon(life);
        } else {
            self.leave(i);
        }
    }

    /// The power goes between two of the next effects, or a moment later.
    pub(crate) fn crash_soon(&mut self, life: Life) {
        self.nodes[life.node].fuse = Some(self.dice.below(FUSE));
        let last = Millis(self.setting.params.epoch.0 / LAST_MOMENT);
        self.later(last, Happening::Out(life));
    }

    /// A node goes for so long.
    pub(crate) fn away(&mut self, i: usize, span: Millis) {
        if self.nodes[i].alive(i).is_some() {
            self.power_off(i);
            self.later(span, Happening::Session(i));
        }
    }

    /// A node goes, and comes back in its time.
    fn leave(&mut self, i: usize) {
        self.power_off(i);
        let away = self.nodes[i].uptime.down(&mut self.dice);
        self.later(away, Happening::Session(i));
    }

    fn power_off(&mut self, i: usize) {
        self.trace.session(self.now, i, false);
        self.nodes[i].stop(self.now);
    }

    fn power_on(&mut self, i: usize) {
        self.report.restarts += u64::from(self.nodes[i].life > 0);
        self.trace.session(self.now, i, true);
        self.nodes[i].start();
        self.step(i, Input::Started);
        if let Some(life) = self.nodes[i].alive(i) {
            let wait = self.dice.span(SYNC_DELAY.0, SYNC_DELAY.1);
            self.later(wait, Happening::Sync(life));
            self.plan_scrub(life);
        }
    }

    /// A provider and its disk are gone for good.
    fn die(&mut self, i: usize) {
        if self.nodes[i].dead {
            return;
        }
        if self.nodes[i].alive(i).is_some() {
            self.power_off(i);
        }
        self.nodes[i].dead = true;
        self.report.deaths += 1;
        self.board.remove(&self.nodes[i].id);
        self.checkers.repair.died(self.now, self.nodes[i].id);
        if self.setting.successors {
            self.plan_successor();
        }
    }

    fn newcomer(&mut self) {
        let i = self.join();
        self.report.joined += 1;
        self.queue.push(self.now, Happening::Session(i));
        if self.setting.successors {
            self.plan_death(i, false);
        }
    }

    /// A node that was away hears where it stood itself, then of every block since.
    fn sync(&mut self, life: Life) {
        let i = life.node;
        if !self.weather.follows(i) {
            return self.later(SYNC_AGAIN, Happening::Sync(life));
        }
        let standing = self.chain.at(self.nodes[i].height.0);
        let (state, height) = match standing {
            Some(applied) => (Arc::clone(&applied.state), self.nodes[i].height.0),
            None => {
                let newest = Arc::clone(&self.chain.state);
                let height = newest.head().height;
                (newest, height)
            }
        };
        let node = &mut self.nodes[i];
        node.synced = true;
        node.height = (height, height);
        node.last_block = self.now;
        node.online(self.now);
        let input = BlockInput::of(&state, (&node.id, &node.account), &[], &[], true);
        self.step(i, Input::Block(Box::new(input)));
        self.catch_up(i);
        if self.nodes[i].keeper.is_some() {
            let wait = self.dice.span(5_000, 60_000);
            self.later(wait, Happening::Resume(life));
        }
    }

    fn follow(&mut self, i: usize, applied: &Applied, whole: bool) {
        let node = &mut self.nodes[i];
        node.height.0 = applied.state.head().height;
        let who = (&node.id, &node.account);
        let input = BlockInput::of(&applied.state, who, &applied.txs, &applied.events, whole);
        self.step(i, Input::Block(Box::new(input)));
    }

    /// The blocks that a node was not sent yet are on their way to it, in their order.
    pub(crate) fn catch_up(&mut self, i: usize) {
        let Some(life) = self.nodes[i].alive(i).filter(|_| self.nodes[i].synced) else {
            return;
        };
        if !self.weather.follows(i) {
            return;
        }
        let head = self.chain.state.head().height;
        for height in self.nodes[i].height.1 + 1..=head {
            let Some(applied) = self.chain.at(height) else {
                continue;
            };
            let applied = Arc::clone(applied);
            let delay = if height == head {
                BLOCK_DELAY
            } else {
                BACKLOG_DELAY
            };
            let wait = self.dice.span(delay.0, delay.1);
            let at = self.now.after(wait).max(self.nodes[i].last_block);
            self.nodes[i].last_block = at;
            self.queue.push(at, Happening::Block(life, applied));
        }
        self.nodes[i].height.1 = head;
    }

    /// The validator looks at its clock.
    fn validate(&mut self, generation: u64) {
        if generation != self.chain.generation {
            return;
        }
        if let Some(applied) = self.chain.make(self.now) {
            self.made(&applied);
        }
        self.watch();
    }

    /// Plans the validator's next look.
    pub(crate) fn watch(&mut self) {
        self.chain.generation += 1;
        let at = self.chain.due(self.now);
        let generation = self.chain.generation;
        self.queue.push(at, Happening::Validate(generation));
    }

    fn made(&mut self, applied: &Arc<Applied>) {
        self.report.blocks += 1;
        self.trace.block(self.now, &applied.state.head().hash);
        self.checkers.money.block(&applied.state);
        self.count(applied);
        for event in &applied.events {
            self.checkers.proofs.event(self.now, event);
            self.checkers.data.event(event);
            self.watched(|purse, sight| purse.event(sight, event));
        }
        for i in 0..self.nodes.len() {
            self.catch_up(i);
        }
        let needed = self.nodes.iter().filter(|n| !n.dead).map(|n| n.height.0);
        let oldest = needed.min().unwrap_or(0);
        self.chain.forget_before(oldest);
    }

    fn count(&mut self, applied: &Applied) {
        for batch in &applied.block.get().verdicts {
            for verdict in batch.verdicts() {
                match verdict {
                    Verdict::Pass => self.report.passes += 1,
                    Verdict::Miss => self.report.misses += 1,
                    Verdict::Fail | Verdict::Declared => self.report.others += 1,
                }
            }
        }
        for event in &applied.events {
            if let Event::Paid { pay, .. } = event {
                self.paid = self.paid.checked_add(*pay).unwrap_or(self.paid);
            }
        }
        let count = |is: fn(&&Event) -> bool| applied.events.iter().filter(is).count() as u64;
        let report = &mut self.report;
        report.contracts += count(|e| matches!(e, Event::Opened { .. }));
        report.extensions += count(|e| matches!(e, Event::Extended { .. }));
        report.closed += count(|e| matches!(e, Event::Closed { .. }));
        report.skipped += count(|e| matches!(e, Event::Skipped { .. }));
        report.faulted += count(|e| matches!(e, Event::Faulted { .. }));
        report.declared += count(|e| matches!(e, Event::LossDeclared { .. }));
    }

    /// Something reaches the validator.
    fn submitted(&mut self, life: Life, op: OpId, what: Submission) {
        let from = self.nodes[life.node].id;
        if !self.weather.follows(life.node) {
            let outcome = Outcome::Submitted(Err(SubmitError::NoAnswer));
            return self.done(life, Millis(5_000), op, outcome);
        }
        let (answer, proof) = self.chain.submit(&from, what, self.now);
        if let Some(hash) = proof {
            let epoch = self.chain.state.epoch();
            self.checkers.proofs.valid(&from, epoch, &hash);
        }
        self.watch();
        let wait = self.weather.latency(&mut self.dice);
        self.done(life, wait, op, Outcome::Submitted(answer));
    }

    fn checkpoint(&mut self) {
        let sight = Sight {
            now: self.now,
            nodes: &self.nodes,
            index: &self.index,
            state: &self.chain.state,
        };
        self.checkers.data.checkpoint(&sight);
        if self.setting.successors {
            self.checkers.repair.look(&sight);
        }
    }
}
