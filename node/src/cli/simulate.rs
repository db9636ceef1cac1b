//! `larder simulate`: scenarios over the production engine and ledger. The one place that calls
//! `larder_simulations`.

use super::args::SimulateCommand;
use super::exit::{FAILED, Failure};
use super::output::Out;
use indicatif::{ProgressBar, ProgressDrawTarget};
use larder_simulations::{Options, Progress, Report, Scenario};
use serde::Serialize;
use std::time::{Duration, Instant};

/// How often a `status` object is printed.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// Virtual days in a year.
const YEAR: u32 = 365;

pub(super) fn simulate(command: SimulateCommand, out: Out) -> Result<(), Failure> {
    match command {
        SimulateCommand::Churn {
            seed,
            nodes,
            years,
            days,
        } => {
            let options = Options {
                seed,
                nodes,
                days: days.unwrap_or(years * YEAR),
                ..Options::default()
            };
            run(Scenario::Churn, options, out)
        }
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
            "a checker found violations; seed {} shows them again",
            report.seed
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
            "faults     {} restarts, {} of them crashes",
            report.restarts, report.crashes
        ),
    ];
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
