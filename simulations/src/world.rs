//! The world: nodes, network, validator and checkers under one virtual clock. It carries out what
//! engines want and decides nothing for them.

use crate::chain::{Applied, Chain};
use crate::checkers::Checkers;
use crate::dice::{DAY, Dice};
use crate::net::Call;
use crate::node::Node;
use crate::queue::{Happening, Life, Queue};
use crate::report::Report;
use crate::run::{Options, Progress};
use crate::trace::Trace;
use larder_contracts::SignedOffer;
use larder_engine::Token;
use larder_engine::io::{Effect, Input, OpId, Outcome, Submission};
use larder_engine::view::BlockInput;
use larder_ledger::{Event, Verdict};
use larder_types::{Amount, Millis, NodeId, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a block takes to a node, milliseconds.
const BLOCK_DELAY: (u64, u64) = (20, 1_500);
/// How long a node takes to catch up after a start, milliseconds.
const SYNC_DELAY: (u64, u64) = (500, 5_000);
/// A deadline that has passed and asks for nothing is looked at again after this.
const SPIN: Millis = Millis(1_000);

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) now: Time,
    pub(crate) queue: Queue,
    pub(crate) nodes: Vec<Node>,
    pub(crate) index: BTreeMap<NodeId, usize>,
    pub(crate) chain: Chain,
    pub(crate) calls: BTreeMap<Token, Call>,
    pub(crate) next_token: u64,
    /// The newest offer of each provider.
    pub(crate) board: BTreeMap<NodeId, SignedOffer>,
    pub(crate) dice: Dice,
    pub(crate) checkers: Checkers,
    pub(crate) report: Report,
    start: Time,
    trace: Trace,
    paid: Amount,
}

impl World {
    /// A world in which nothing has happened.
    pub(crate) fn new(options: Options, start: Time, chain: Chain, nodes: Vec<Node>) -> Self {
        let index = nodes.iter().enumerate().map(|(i, n)| (n.id, i)).collect();
        let count = |f: fn(&&Node) -> bool| {
            u32::try_from(nodes.iter().filter(f).count()).unwrap_or(u32::MAX)
        };
        let report = Report::new(
            options,
            count(|n| n.provide.is_some()),
            count(|n| n.keeper.is_some()),
        );
        Self {
            options,
            now: start,
            queue: Queue::default(),
            index,
            chain,
            calls: BTreeMap::new(),
            next_token: 0,
            board: BTreeMap::new(),
            dice: Dice::new(options.seed, "world", 0),
            checkers: Checkers::default(),
            report,
            start,
            trace: Trace::default(),
            paid: Amount::ZERO,
            nodes,
        }
    }

    /// Runs until the scenario's end.
    pub(crate) fn run(mut self, progress: &mut dyn FnMut(Progress)) -> Report {
        let end = self.start.after(Millis(u64::from(self.options.days) * DAY));
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
        self.checkpoint();
        self.report.epochs = self.chain.state.epoch();
        self.report.paid = self.paid.to_string();
        self.checkers.data.overdue(self.now);
        self.report.caught = self.checkers.proofs.caught();
        self.report.checkers = self.checkers.findings();
        self.report.trace_hash = self.trace.finish();
        self.report
    }

    fn progress(&self) -> Progress {
        let day = self.now.since(self.start).0 / DAY;
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
            // Meant for a life that has ended.
            Happening::Input(..)
            | Happening::Tick(..)
            | Happening::Block(..)
            | Happening::Sync(_)
            | Happening::Resume(_)
            | Happening::Again(..)
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
            Happening::Backup(i) => self.backup(i),
            Happening::Restore(i) => self.restore(i),
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
        let mut effects: Vec<Effect> = engine.step(self.now, node.dice.rng(), input);
        let dies = node.dying;
        if dies {
            let kept = self.dice.below(effects.len() as u64 + 1);
            effects.truncate(usize::try_from(kept).expect("below a length"));
        }
        for effect in effects {
            self.trace.effect(&effect);
            self.effect(i, effect);
        }
        if dies {
            self.report.crashes += 1;
            self.power_off(i);
        } else {
            self.rearm(i);
        }
    }

    fn tick(&mut self, i: usize, tick: u64) {
        if self.nodes[i].tick.0 != tick {
            return;
        }
        self.nodes[i].tick.1 = None;
        let steps = self.nodes[i].engine.as_ref().and_then(|e| e.deadline());
        self.step(i, Input::Tick);
        let after = self.nodes[i].engine.as_ref().and_then(|e| e.deadline());
        if after.is_some() && after == steps && after <= Some(self.now) {
            // The same passed deadline after its tick: the production driver would spin.
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
        let up = self.nodes[i].engine.is_none();
        let uptime = self.nodes[i].uptime;
        if up {
            let stays = uptime.up(&mut self.dice, self.now);
            self.power_on(i);
            self.later(stays, Happening::Session(i));
        } else {
            // Half of the stops come in the middle of a step.
            if self.dice.one_in(2) {
                self.nodes[i].dying = true;
                self.step(i, Input::Tick);
            } else {
                self.power_off(i);
            }
            let away = uptime.down(&mut self.dice);
            self.later(away, Happening::Session(i));
        }
    }

    fn power_off(&mut self, i: usize) {
        self.trace.session(self.now, i, false);
        self.nodes[i].stop();
    }

    fn power_on(&mut self, i: usize) {
        self.report.restarts += u64::from(self.nodes[i].life > 0);
        self.trace.session(self.now, i, true);
        self.nodes[i].start();
        self.step(i, Input::Started);
        if let Some(life) = self.nodes[i].alive(i) {
            let wait = self.dice.span(SYNC_DELAY.0, SYNC_DELAY.1);
            self.later(wait, Happening::Sync(life));
        }
    }

    /// A node that was away learns where the chain stands.
    fn sync(&mut self, life: Life) {
        let i = life.node;
        let state = Arc::clone(&self.chain.state);
        let node = &mut self.nodes[i];
        node.synced = true;
        node.last_block = self.now;
        let input = BlockInput::of(&state, (&node.id, &node.account), &[], &[], true);
        self.step(i, Input::Block(Box::new(input)));
        if self.nodes[i].keeper.is_some() {
            let wait = self.dice.span(5_000, 60_000);
            self.later(wait, Happening::Resume(life));
        }
    }

    fn follow(&mut self, i: usize, applied: &Applied, whole: bool) {
        let node = &self.nodes[i];
        let who = (&node.id, &node.account);
        let input = BlockInput::of(&applied.state, who, &applied.txs, &applied.events, whole);
        self.step(i, Input::Block(Box::new(input)));
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
    fn watch(&mut self) {
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
        }
        for i in 0..self.nodes.len() {
            if let Some(life) = self.nodes[i].alive(i).filter(|_| self.nodes[i].synced) {
                let wait = self.dice.span(BLOCK_DELAY.0, BLOCK_DELAY.1);
                let at = self.now.after(wait).max(self.nodes[i].last_block);
                self.nodes[i].last_block = at;
                self.queue
                    .push(at, Happening::Block(life, Arc::clone(applied)));
            }
        }
    }

    fn count(&mut self, applied: &Applied) {
        for batch in &applied.block.get().verdicts {
            for verdict in &batch.verdicts {
                match verdict {
                    Verdict::Pass => self.report.passes += 1,
                    Verdict::Miss => self.report.misses += 1,
                    Verdict::Fail | Verdict::Declared => self.report.others += 1,
                }
            }
        }
        for event in &applied.events {
            match event {
                Event::Paid { pay, .. } => {
                    self.paid = self.paid.checked_add(*pay).unwrap_or(self.paid);
                }
                Event::Opened { .. } => self.report.contracts += 1,
                Event::Extended { .. } => self.report.extensions += 1,
                Event::Closed { .. } => self.report.closed += 1,
                Event::Skipped { .. } => self.report.skipped += 1,
                Event::SlotOpened { .. }
                | Event::EpochBegan { .. }
                | Event::Granted { .. }
                | Event::Transferred { .. }
                | Event::Registered { .. }
                | Event::Deposited { .. }
                | Event::Pending { .. }
                | Event::Revised { .. }
                | Event::Unpaid { .. }
                | Event::Charged { .. }
                | Event::Faulted { .. }
                | Event::LossDeclared { .. }
                | Event::Vested { .. } => {}
            }
        }
    }

    /// Something reaches the validator.
    fn submitted(&mut self, life: Life, op: OpId, what: Submission) {
        let from = self.nodes[life.node].id;
        let (answer, proof) = self.chain.submit(&from, what, self.now);
        if let Some(hash) = proof {
            let epoch = self.chain.state.epoch();
            self.checkers.proofs.valid(&from, epoch, &hash);
        }
        self.watch();
        let wait = self.dice.span(5, 150);
        self.done(life, wait, op, Outcome::Submitted(answer));
    }

    /// A lazy provider throws half of what it stores away, and says nothing.
    fn cheat(&mut self, i: usize) {
        let disk = &mut self.nodes[i].disk;
        let roots: Vec<_> = disk.roots().copied().step_by(2).collect();
        if roots.is_empty() {
            return self.later(Millis(DAY), Happening::Cheat(i));
        }
        for root in &roots {
            disk.drop_shard(root);
        }
        self.checkers.data.cheated(&roots);
    }

    fn checkpoint(&mut self) {
        self.checkers.data.checkpoint(self.now, &self.nodes);
    }
}
