//! `larder simulate`: scenarios over the production engine and ledger. The one place that calls
//! `larder_simulations`.

use super::args::{SimulateArgs, SimulateCommand};
use super::exit::{FAILED, Failure};
use super::output::Out;
use indicatif::{ProgressBar, ProgressDrawTarget};
use larder_simulations::{Account, Adversary, Options, Progress, Report, Scenario};
use serde::Serialize;
use std::time::{Duration, Instant};

/// How often a `status` object is printed.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// Virtual days in a year.
const YEAR: u32 = 365;

/// Nodes and days where nobody says how many; of churn, and of the other scenarios.
const CHURN: (u32, u32) = (50, YEAR);
const SMALL: (u32, u32) = (12, 2);
const ADVERSARIES: (u32, u32) = (12, 3);

pub(super) fn simulate(command: SimulateCommand, out: Out) -> Result<(), Failure> {
    match command {
        SimulateCommand::Churn { run: args, years } => {
            let options = options(args, (CHURN.0, years * CHURN.1));
            run(Scenario::Churn, options, out)
        }
        SimulateCommand::Faults { run: args } => run(Scenario::Faults, options(args, SMALL), out),
        SimulateCommand::Split { run: args } => run(Scenario::Split, options(args, SMALL), out),
        SimulateCommand::Adversaries { run: args } => {
            run(Scenario::Adversaries, options(args, ADVERSARIES), out)
        }
    }
}

fn options(args: SimulateArgs, (nodes, days): (u32, u32)) -> Options {
    Options {
        seed: args.seed,
        nodes: args.nodes.unwrap_or(nodes),
        days: args.days.unwrap_or(days),
        quick: args.quick,
        adversary: None,
    }
}

/// An object with the `message_type` that says what it is.
#[derive(Serialize)]
struct Message<'a, T> {
    message_type: &'static str,
    #[serde(flatten)]
    rest: &'a T,
}

fn run(scenario: Scenario, options: Options, out: Out) -> Result<(), Failure> {
    let bar = ProgressBar::new(u64::from(options.days));
    if !out.bars() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let mut said = Instant::now();
    let mut told = Ok(());
    let report = larder_simulations::run(scenario, options, &mut |progress: Progress| {
        bar.set_position(u64::from(progress.day));
        if said.elapsed() >= STATUS_EVERY && told.is_ok() {
            said = Instant::now();
            told = out.object(&Message {
                message_type: "status",
                rest: &progress,
            });
        }
    });
    bar.finish_and_clear();
    told?;
    tell(&report, out)
}

fn tell(report: &Report, out: Out) -> Result<(), Failure> {
    lines(report)
        .into_iter()
        .try_for_each(|line| out.line(line))?;
    out.object(&Message {
        message_type: "summary",
        rest: report,
    })?;
    if report.ok() {
        return Ok(());
    }
    Err(Failure::new(
        FAILED,
        format_args!(
            "a checker found violations; `{}` shows them again",
            report.command()
        ),
    ))
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![
        format!(
            "seed {}: {} nodes ({} providers, {} keepers), {} days, {} blocks, {} steps",
            report.seed,
            report.nodes,
            report.providers,
            report.keepers,
            report.days,
            report.blocks,
            report.steps
        ),
        format!(
            "proofs     {} passed, {} missed, {} other; {} credits paid",
            report.passes, report.misses, report.others, report.paid
        ),
        format!(
            "segments   {} stored, {} durable, {} read back, {} not available when asked",
            report.segments, report.durable, report.restores, report.unavailable
        ),
        format!(
            "faults     {} restarts, {} crashes in the middle of a step, {} flipped bytes; {} \
             providers gone for good, {} joined",
            report.restarts, report.crashes, report.rotted, report.deaths, report.joined
        ),
        format!(
            "repair     {} times FAULTED, {} losses declared; {} shards rebuilt ({} read, {} \
             written); {} segments lost to more losses at once than the code bears",
            report.faulted,
            report.declared,
            report.rebuilt,
            larder_types::Bytes(report.repair_read),
            larder_types::Bytes(report.repair_written),
            report.beyond
        ),
    ];
    if report.healed > 0 {
        lines.push(format!(
            "           {} of those gone for good were replaced in full, after {} hours on average",
            report.healed,
            report.healed_minutes / 60
        ));
    }
    lines.extend(report.purses.iter().map(purse));
    for checker in &report.checkers {
        let verdict = if checker.ok { "holds" } else { "VIOLATED" };
        lines.push(format!(
            "checker    {}: {verdict} ({} checks)",
            checker.name, checker.checks
        ));
        lines.extend(checker.violations.iter().map(|v| format!("           {v}")));
    }
    lines.push(format!("trace hash {}", report.trace_hash));
    lines
}

/// What a provider has in the end: a cheat's beside its honest twin's, nano.
fn purse(account: &Account) -> String {
    let who = account.adversary.map_or("honest twin", Adversary::name);
    format!(
        "purse      {who}: {} = {} earned - {} of collateral lost - {} for storage; {} passed, {} \
         missed, {} false, {} times FAULTED",
        account.gain,
        account.earned,
        account.collateral_lost,
        account.storage_cost,
        account.passes,
        account.misses,
        account.fails,
        account.faulted
    )
}
