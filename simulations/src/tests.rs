//! Short runs of the scenarios: every checker holds, and a seed means one run.

use crate::{Options, Report, Scenario, run};

fn churn(options: Options) -> Report {
    let options = Options {
        nodes: 20,
        ..options
    };
    let report = run(Scenario::Churn, options, &mut |_| {});
    assert!(report.ok(), "seed {}: {report:#?}", options.seed);
    let lived = report.passes > 0 && report.durable > 0 && report.restores > 0;
    assert!(
        lived && report.crashes > 0,
        "seed {}: {report:#?}",
        options.seed
    );
    report
}

#[test]
fn a_seed_means_one_run_in_which_every_checker_holds() {
    let [seven, eight] = [7, 8].map(|seed| {
        let options = Options {
            seed,
            days: 30,
            ..Options::default()
        };
        let report = churn(options);
        assert_eq!(churn(options), report, "seed {seed}: two runs differ");
        report
    });
    assert_ne!(seven.trace_hash, eight.trace_hash);
}

#[test]
fn a_provider_without_its_shards_is_caught_and_not_paid() {
    let options = Options {
        seed: 3,
        days: 20,
        lazy: true,
        ..Options::default()
    };
    assert!(
        churn(options).caught > 0,
        "no draw hit what was thrown away"
    );
}
