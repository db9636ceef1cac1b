//! Short runs of the scenarios: every checker holds, and a seed means one run.

use crate::{Options, Report, Scenario, run};

fn churn(seed: u64) -> Report {
    let options = Options {
        seed,
        nodes: 20,
        days: 30,
        ..Options::default()
    };
    run(Scenario::Churn, options, &mut |_| {})
}

#[test]
fn a_seed_means_one_run_in_which_every_checker_holds() {
    for seed in [7, 8] {
        let report = churn(seed);
        assert!(report.ok(), "seed {seed}: {report:#?}");
        assert!(
            report.passes > 0 && report.durable > 0,
            "seed {seed}: {report:#?}"
        );
        assert_eq!(churn(seed), report, "seed {seed}: two runs differ");
    }
    assert_ne!(churn(7).trace_hash, churn(8).trace_hash);
}
