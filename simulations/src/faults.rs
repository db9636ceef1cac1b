//! The scenarios `faults` and `split`: what goes wrong, and when, as data made from the seed.
//!
//! *Faults*: after a quiet beginning crashes, deaths, full disks, flipped bytes, bad weather and
//! splits fall on a small network, then stop; what is left of the time is for it to settle.
//! *Split*: the network falls in two for ten epochs, and nothing else goes wrong. STYLE,
//! *Simulation*.

use crate::queue::Happening;
use crate::run::{Options, Scenario};
use crate::setup::{START, Setting};
use crate::uptime::Uptime;
use crate::world::World;
use larder_types::{Millis, Params, Profile};
use std::collections::BTreeSet;

/// The first epochs are for contracts and first backups.
const CALM_BEFORE: u64 = 4;
/// The last ones are for repair: four until a dead provider is FAULTED, one until its contracts
/// are closed, the rest for tries that fail and revisions to be posted.
const CALM_AFTER: u64 = 14;
/// In `split` backups end so many epochs before the run does: the last are posted by then.
const CLOSING: u64 = 4;
/// Epochs of the split in `split`.
const LONG_SPLIT: u64 = 10;
/// Crashes and such, for each node and epoch of the bad time: one in so many.
const OFTEN: u64 = 6;
/// Deaths at most, of at least twelve nodes: two of nine providers. Six positions find six of the
/// other seven.
const DEATHS: u64 = 2;

/// Something that goes wrong, or gets right again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The power goes, between two of a node's next effects.
    Crash(usize),
    /// A node is away for so long.
    Away(usize, Millis),
    /// A node's disk is full, or no longer.
    Full(usize, bool),
    /// A byte of a stored shard flips.
    Rot(usize),
    /// The network does not join these to the others and the validator.
    Split(BTreeSet<usize>),
    /// It is one again.
    Heal,
    /// Messages come late, twice, or not at all.
    Storm,
    /// The storm is over.
    Calm,
    /// Nothing goes wrong from here on.
    Quiet,
}

/// Where a split runs.
#[derive(Debug, Clone, Copy)]
enum Side {
    /// Those that only back up are cut off.
    Keepers,
    /// The validator is alone.
    Validator,
    /// Anyone may be on either side.
    Anyhow,
    /// A single provider is cut off.
    One,
}

impl World {
    /// A network on which faults fall.
    pub(crate) fn faults(options: Options) -> Self {
        let mut world = Self::small(Scenario::Faults, "faults", options);
        let epochs = world.epochs();
        let calm = CALM_AFTER.min(epochs / 2);
        let bad = CALM_BEFORE.min(epochs / 4)..epochs.saturating_sub(calm);
        for epoch in bad.clone() {
            for node in 0..world.nodes.len() {
                if world.dice.one_in(OFTEN) {
                    world.mishap(epoch, node);
                }
            }
            match world.dice.below(6) {
                0 => world.plan_storm(epoch),
                1 => world.plan_split(epoch, None),
                _ => {}
            }
        }
        world.plan_deaths(&bad);
        world.at(bad.end, Happening::Fault(Fault::Quiet));
        world
    }

    /// A network that falls in two for ten epochs.
    pub(crate) fn split(options: Options) -> Self {
        let mut world = Self::small(Scenario::Split, "split", options);
        let side = if world.dice.one_in(2) {
            Side::Keepers
        } else {
            Side::Validator
        };
        world.plan_split(CALM_BEFORE, Some((side, LONG_SPLIT)));
        let last = world.epochs().saturating_sub(CLOSING);
        world.at(last, Happening::Fault(Fault::Quiet));
        world
    }

    /// A private network with few slots, each of which costs a signature, so that it is cheap to run.
    fn small(scenario: Scenario, name: &'static str, options: Options) -> Self {
        let params = Params {
            slots: if options.quick { 1 } else { 4 },
            ..Params::profile(Profile::Private)
        };
        let setting = Setting {
            scenario,
            name,
            params: Setting::scaled(params),
            uptime: |_, _| Uptime::Steady,
            successors: false,
            settles: true,
            befalls: None,
        };
        let mut world = Self::set_up(options, setting);
        world.plan_basics();
        world
    }

    /// Epochs of the whole run.
    pub(crate) fn epochs(&self) -> u64 {
        u64::from(self.options.days) * crate::dice::DAY / self.setting.params.epoch.0
    }

    /// Plans something for a moment of an epoch.
    fn at(&mut self, epoch: u64, what: Happening) -> larder_types::Time {
        let length = self.setting.params.epoch.0;
        let at = START.after(Millis(epoch * length + self.dice.below(length)));
        self.queue.push(at, what);
        at
    }

    fn mishap(&mut self, epoch: u64, node: usize) {
        let provides = self.nodes[node].provide.is_some();
        let fault = match self.dice.below(6) {
            0 => Fault::Full(node, true),
            1 if provides => Fault::Rot(node),
            _ => Fault::Crash(node),
        };
        let freed = matches!(fault, Fault::Full(..));
        let at = self.at(epoch, Happening::Fault(fault));
        if freed {
            let length = self.setting.params.epoch.0;
            let until = at.after(self.dice.span(length / 20, 2 * length));
            let freed = Happening::Fault(Fault::Full(node, false));
            self.queue.push(until, freed);
        }
    }

    fn plan_storm(&mut self, epoch: u64) {
        let at = self.at(epoch, Happening::Fault(Fault::Storm));
        let length = self.setting.params.epoch.0;
        let until = at.after(self.dice.span(length / 20, length));
        self.queue.push(until, Happening::Fault(Fault::Calm));
    }

    fn plan_split(&mut self, epoch: u64, how: Option<(Side, u64)>) {
        let drawn = match self.dice.below(4) {
            0 => Side::Keepers,
            1 => Side::Validator,
            2 => Side::One,
            _ => Side::Anyhow,
        };
        let (side, epochs) = how.unwrap_or((drawn, 1 + self.dice.below(3)));
        let nodes = self.nodes.len();
        let far = match side {
            Side::Keepers => (0..nodes)
                .filter(|i| self.nodes[*i].provide.is_none())
                .collect(),
            Side::Validator => (0..nodes).collect(),
            Side::Anyhow => (0..nodes).filter(|_| self.dice.one_in(3)).collect(),
            Side::One => self.providers().first().copied().into_iter().collect(),
        };
        let at = self.at(epoch, Happening::Fault(Fault::Split(far)));
        let until = at.after(Millis(epochs * self.setting.params.epoch.0));
        self.queue.push(until, Happening::Fault(Fault::Heal));
    }

    /// Providers go for good, as many as the code bears; others come.
    fn plan_deaths(&mut self, bad: &std::ops::Range<u64>) {
        for _ in 0..self.dice.below(DEATHS + 1) {
            let candidates = self.providers();
            if let Some(node) = self.dice.pick(&candidates) {
                let epoch = bad.start + self.dice.below(bad.end - bad.start);
                self.at(epoch, Happening::Death(node));
            }
        }
        if self.dice.one_in(2) {
            self.at(bad.start, Happening::Join);
        }
    }

    /// Those that only provide.
    fn providers(&self) -> Vec<usize> {
        let only = |i: &usize| self.nodes[*i].keeper.is_none();
        (0..self.nodes.len()).filter(only).collect()
    }

    /// Something goes wrong, or gets right again.
    pub(crate) fn fault(&mut self, fault: &Fault) {
        self.trace.fault(self.now, fault);
        match fault {
            Fault::Crash(i) => {
                if let Some(life) = self.nodes[*i].alive(*i) {
                    self.crash_soon(life);
                }
            }
            Fault::Away(i, span) => self.away(*i, *span),
            Fault::Full(i, full) => self.nodes[*i].disk.full = *full,
            Fault::Rot(i) => self.rot(*i),
            Fault::Split(far) => self.part(far),
            Fault::Heal => self.heal(),
            Fault::Storm => self.weather.storm(),
            Fault::Calm => self.weather.calm(),
            Fault::Quiet => self.quiet(),
        }
    }

    fn rot(&mut self, i: usize) {
        let disk = &mut self.nodes[i].disk;
        let roots: Vec<_> = disk.roots().copied().collect();
        if let Some(root) = self.dice.pick(&roots) {
            disk.rot(&root, self.dice.below(64 << 10));
            self.report.rotted += 1;
            self.checkers.data.broken(i, &[root]);
        }
    }

    fn part(&mut self, far: &BTreeSet<usize>) {
        for i in far {
            self.nodes[*i].offline(self.now);
        }
        self.weather.split(far.clone());
    }

    fn heal(&mut self) {
        self.weather.heal();
        for i in 0..self.nodes.len() {
            if self.nodes[i].synced {
                let now = self.now;
                self.nodes[i].online(now);
            }
            self.catch_up(i);
        }
    }

    fn quiet(&mut self) {
        self.closing = self.now;
        self.weather.calm();
        self.heal();
        for node in &mut self.nodes {
            node.disk.full = false;
        }
    }
}
