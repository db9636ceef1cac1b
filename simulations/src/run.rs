//! A scenario, run from its seed to its report.

use crate::adversary::Adversary;
use crate::report::Report;
use crate::world::World;
use serde::Serialize;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// Providers and keepers come and go, and crash, over virtual days; `docs/protocol.md` §4.4.
    Churn,
    /// Crashes, deaths, full disks, flipped bytes, splits and storms, which then stop.
    Faults,
    /// The network falls in two for ten epochs, and nothing else goes wrong.
    Split,
    /// A provider that cheats beside its honest twin, for each way to cheat; `docs/protocol.md` §3.7.
    Adversaries,
}

/// How a scenario is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Where all chance comes from.
    pub seed: u64,
    /// Machines, 4 to 250 (what the founder's nonce window can fund); others are brought into it.
    pub nodes: u32,
    /// Virtual days.
    pub days: u32,
    /// Fewer backups and checkpoints.
    pub quick: bool,
    /// How one provider cheats, if it does.
    pub adversary: Option<Adversary>,
}

impl Default for Options {
    /// A virtual year of 50 nodes.
    fn default() -> Self {
        Self {
            seed: 1,
            nodes: 50,
            days: 365,
            quick: false,
            adversary: None,
        }
    }
}

/// How far a run has come; told once per virtual day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Virtual days so far.
    pub day: u32,
    /// Of how many.
    pub days: u32,
    /// Blocks so far.
    pub blocks: u64,
    /// Segments durable so far.
    pub segments: u64,
}

/// Runs a scenario. Equal options give equal reports, trace hash included.
///
/// # Panics
/// On a bug in what is simulated (credit not conserved, rows that cannot be read back); the panic
/// names the seed.
pub fn run(scenario: Scenario, options: Options, progress: &mut dyn FnMut(Progress)) -> Report {
    // Nothing of the world outlives a panic, so nothing broken is seen afterwards.
    let told = AssertUnwindSafe(|| match scenario {
        Scenario::Churn => World::churn(options).run(progress),
        Scenario::Faults => World::faults(options).run(progress),
        Scenario::Split => World::split(options).run(progress),
        Scenario::Adversaries => crate::adversaries::run(options, &Adversary::ALL, progress),
    });
    catch_unwind(told).unwrap_or_else(|cause| {
        let text = cause.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| cause.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("a panic");
        panic!(
            "seed {}: {text}; `{}` shows it again",
            options.seed,
            command(scenario, options)
        );
    })
}

/// The command that runs a scenario again.
pub(crate) fn command(scenario: Scenario, options: Options) -> String {
    let name = match scenario {
        Scenario::Churn => "churn",
        Scenario::Faults => "faults",
        Scenario::Split => "split",
        Scenario::Adversaries => "adversaries",
    };
    let Options {
        seed, nodes, days, ..
    } = options;
    let quick = if options.quick { " --quick" } else { "" };
    format!("larder simulate {name} --seed {seed} --nodes {nodes} --days {days}{quick}")
}
