//! The scenario `churn`: providers of classes A and B come and go and, at the end of their lives,
//! are gone for good with what they stored; new ones join. Keepers are people's computers.
//! `docs/protocol.md` §4.4.

use crate::dice::{DAY, HOUR};
use crate::queue::Happening;
use crate::run::{Options, Scenario};
use crate::setup::{START, Setting};
use crate::uptime::Uptime;
use crate::world::World;
use larder_types::{Millis, Params, Profile};

/// A provider that is gone is followed by a new one after this long.
const SUCCESSOR: (u64, u64) = (DAY, 20 * DAY);

impl World {
    /// A network at its first moment.
    pub(crate) fn churn(options: Options) -> Self {
        let setting = Setting {
            scenario: Scenario::Churn,
            name: "churn",
            params: Setting::scaled(Params::profile(Profile::Public)),
            uptime: Uptime::of_churn,
            successors: true,
            settles: false,
            befalls: None,
        };
        let mut world = Self::set_up(options, setting);
        world.plan_basics();
        for i in 0..world.nodes.len() {
            world.plan_death(i, true);
            if world.nodes[i].cheat.is_some() {
                let turns = START.after(Millis(8 * DAY));
                world.queue.push(turns, Happening::Turn(i));
            }
        }
        world
    }

    /// Plans the first of everything that every scenario has: nodes start, keepers back up and
    /// restore, checkers look.
    pub(crate) fn plan_basics(&mut self) {
        let epoch = self.setting.params.epoch.0;
        self.queue.push(START, Happening::Validate(0));
        self.queue.push(START.after(Millis(DAY)), Happening::Day);
        let checkpoint = START.after(Millis(self.checkpoint_every()));
        self.queue.push(checkpoint, Happening::Checkpoint);
        for i in 0..self.nodes.len() {
            let boot = START.after(self.dice.span(1_000, 60_000));
            self.queue.push(boot, Happening::Session(i));
            if self.nodes[i].keeper.is_some() {
                let first = START.after(self.dice.span(epoch / 12, epoch));
                self.queue.push(first, Happening::Backup(i));
                self.queue.push(first, Happening::Gossip(i));
                let read = START.after(self.dice.span(8 * epoch, 12 * epoch));
                self.queue.push(read, Happening::Restore(i));
            }
        }
    }

    /// Plans the end of a provider's life. Those that are there at first are of all ages: their
    /// lives began before.
    pub(crate) fn plan_death(&mut self, i: usize, aged: bool) {
        let node = &self.nodes[i];
        // A provider that keeps backups too is somebody's: it stays.
        if node.provide.is_none() || node.keeper.is_some() {
            return;
        }
        let uptime = node.uptime;
        let whole = uptime.life(&mut self.dice);
        let left = if aged {
            Millis(self.dice.below(whole.0).max(HOUR))
        } else {
            whole
        };
        self.later(left, Happening::Death(i));
    }

    /// Someone takes the place of a provider that is gone.
    pub(crate) fn plan_successor(&mut self) {
        let wait = self.dice.span(SUCCESSOR.0, SUCCESSOR.1);
        self.later(wait, Happening::Join);
    }

    /// Between two looks at everything, milliseconds.
    pub(crate) fn checkpoint_every(&self) -> u64 {
        let epochs = if self.options.quick { 5 } else { 2 };
        epochs * self.setting.params.epoch.0
    }
}
