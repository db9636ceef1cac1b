//! The scenario `adversaries`: one network, once with an honest provider and once for each way to
//! cheat, from the same seed. Until the provider turns, all runs are one: the same contracts, the
//! same shards, the same hours up. The rules are those of a public network, with epochs of an hour:
//! what nodes do by the hour would cost most of a run otherwise. From the turn on nobody backs up
//! anything new, so that what was bought is what is cheated on.
//! `docs/protocol.md` §3.7, §4.4.

use crate::adversary::Adversary;
use crate::checkers::purse::{Purse, honesty_pays};
use crate::dice::HOUR;
use crate::faults::Fault;
use crate::queue::Happening;
use crate::report::{Checker, Report};
use crate::run::{Options, Progress, Scenario};
use crate::setup::{START, Setting};
use crate::uptime::Uptime;
use crate::world::World;
use larder_types::{Millis, Params, Profile};

/// The machine that cheats.
const CHEAT: usize = 0;
/// It turns after so many epochs: its first contracts are paid, their pay has vested.
const TURNS: u64 = 12;
/// A provider is away once in so many epochs, on average.
const AWAY_EVERY: u64 = 15;
/// For so long, milliseconds: a window is open for a quarter of an hour.
const AWAY: (u64, u64) = (HOUR / 48, HOUR / 2);

impl World {
    /// A network in which one provider is watched, and cheats if the options say so.
    pub(crate) fn adversaries(options: Options) -> Self {
        let params = Params {
            // Each slot costs a signature.
            slots: if options.quick { 1 } else { 4 },
            ..Params::profile(Profile::Public).with_epoch(Millis(HOUR))
        };
        let setting = Setting {
            scenario: Scenario::Adversaries,
            name: "adversaries",
            params: Setting::scaled(params),
            uptime: |_, _| Uptime::Steady,
            successors: false,
            settles: false,
            befalls: None,
        };
        let mut world = Self::set_up(options, setting);
        let second = world.second_account(CHEAT).account();
        world.fund(second);
        let node = &world.nodes[CHEAT];
        world.checkers.purse = Some(Purse::new(CHEAT, node.id, (node.account, second)));
        world.plan_basics();
        world.plan_absences();
        let epoch = world.setting.params.epoch.0;
        let turns = START.after(Millis(TURNS.min(world.epochs() / 3) * epoch + epoch / 2));
        world.queue.push(turns, Happening::Fault(Fault::Quiet));
        world.queue.push(turns, Happening::Turn(CHEAT));
        world
    }

    /// Every provider is away now and then, at times that are planned before anything happens.
    fn plan_absences(&mut self) {
        let every = AWAY_EVERY * self.setting.params.epoch.0;
        let epochs = self.epochs();
        for i in 0..self.nodes.len() {
            if self.nodes[i].provide.is_none() {
                continue;
            }
            for nth in 0..epochs / AWAY_EVERY {
                let at = START.after(Millis(nth * every + self.dice.below(every)));
                let away = Fault::Away(i, self.dice.span(AWAY.0, AWAY.1));
                self.queue.push(at, Happening::Fault(away));
            }
        }
    }
}

/// Runs the honest twin, then these adversaries, and compares what they have in the end.
pub(crate) fn run(
    options: Options,
    adversaries: &[Adversary],
    progress: &mut dyn FnMut(Progress),
) -> Report {
    let mut once = |adversary| {
        let options = Options {
            adversary,
            ..options
        };
        World::adversaries(options).run(progress)
    };
    let mut told = once(None);
    let mut traces = blake3::Hasher::new();
    traces.update(told.trace_hash.as_bytes());
    for adversary in adversaries {
        let report = once(Some(*adversary));
        traces.update(report.trace_hash.as_bytes());
        add(&mut told, report, adversary.name());
    }
    told.checkers.push(honesty_pays(&told.purses));
    told.trace_hash = traces.finalize().to_hex().to_string();
    told
}

/// Adds what another run of the same seed found.
fn add(told: &mut Report, other: Report, name: &str) {
    told.purses.extend(other.purses);
    for (sum, checker) in told.checkers.iter_mut().zip(other.checkers) {
        let Checker {
            ok,
            checks,
            violations,
            ..
        } = checker;
        sum.ok &= ok;
        sum.checks += checks;
        let named = violations.into_iter().map(|v| format!("{name}: {v}"));
        sum.violations.extend(named);
    }
    told.blocks += other.blocks;
    told.steps += other.steps;
    told.passes += other.passes;
    told.misses += other.misses;
    told.others += other.others;
    told.faulted += other.faulted;
    told.dropped += other.dropped;
    told.caught += other.caught;
    told.rebuilt += other.rebuilt;
    told.crashes += other.crashes;
}
