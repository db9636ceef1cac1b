//! Short runs of the scenarios: every checker holds, and a seed means one run.

use crate::world::World;
use crate::{Account, Adversary, Options, Report, Scenario, adversaries, run};

/// Runs twice: every checker holds, and both runs are the same to the last effect.
fn check(scenario: Scenario, options: Options) -> Report {
    let report = once(scenario, options);
    let second = run(scenario, options, &mut |_| {});
    assert_eq!(second, report, "`{}`: two runs differ", report.command());
    report
}

/// Every checker holds.
fn once(scenario: Scenario, options: Options) -> Report {
    let report = run(scenario, options, &mut |_| {});
    assert!(report.ok(), "`{}` fails: {report:#?}", report.command());
    report
}

fn churn(options: Options) -> Report {
    let options = Options {
        nodes: 20,
        ..options
    };
    let report = check(Scenario::Churn, options);
    let lived = report.passes > 0 && report.durable > 0 && report.restores > 0;
    assert!(lived && report.crashes > 0, "{report:#?}");
    report
}

#[test]
fn a_seed_means_one_run_of_churn_in_which_every_checker_holds() {
    let [seven, eight] = [7, 8].map(|seed| {
        churn(Options {
            seed,
            days: 30,
            ..Options::default()
        })
    });
    assert_ne!(seven.trace_hash, eight.trace_hash);
}

#[test]
fn a_provider_without_its_shards_is_caught_and_not_paid() {
    let options = Options {
        seed: 3,
        days: 20,
        adversary: Some(Adversary::SilentWhenHit),
        ..Options::default()
    };
    let caught = churn(options).caught;
    assert!(caught > 0, "no draw hit what was thrown away");
}

/// One seed in so many runs twice: a run costs 0.4 s.
const TWICE: u64 = 10;

/// The short form of `faults`.
fn faults(seeds: std::ops::Range<u64>) -> Vec<Report> {
    let short = |seed| Options {
        seed,
        nodes: 12,
        days: 1,
        quick: true,
        adversary: None,
    };
    let look = |seed: u64| match seed % TWICE {
        0 => check(Scenario::Faults, short(seed)),
        _ => once(Scenario::Faults, short(seed)),
    };
    seeds.map(look).collect()
}

/// Over a hundred seeds every kind of fault has happened, and repair has worked.
fn all_happened(reports: &[Report]) {
    let sum = |f: fn(&Report) -> u64| reports.iter().map(f).sum::<u64>();
    assert!(sum(|r| r.crashes) > 0, "no crash between two effects");
    assert!(sum(|r| r.rotted) > 0, "no byte flipped");
    assert!(sum(|r| r.deaths) > 0, "nobody died");
    assert!(sum(|r| r.faulted) > 0, "nobody was FAULTED");
    assert!(sum(|r| r.declared) > 0, "no loss was declared");
    assert!(sum(|r| r.rebuilt) > 0, "nothing was rebuilt");
}

#[test]
fn a_hundred_seeds_of_faults() {
    all_happened(&faults(0..100));
}

#[test]
fn another_hundred_seeds_of_faults() {
    all_happened(&faults(100..200));
}

/// In each of these a contract opened so late that its shards had gone elsewhere. In 195 the rest of
/// the providers were too few for a loss then; in 255 an upload found too few below its threshold.
#[test]
fn shards_that_went_elsewhere_for_a_delay_do_not_bar_their_providers() {
    faults(255..256);
}

#[test]
fn a_split_of_ten_epochs_in_which_nobody_is_faulted_rebuilds_nothing() {
    for seed in 0..3 {
        let options = Options {
            seed,
            nodes: 12,
            days: 1,
            quick: true,
            adversary: None,
        };
        let report = check(Scenario::Split, options);
        let again = report.command();
        assert_eq!((report.faulted, report.rebuilt), (0, 0), "`{again}`");
        assert!(
            report.misses > 0 || report.unavailable > 0,
            "`{again}` splits nothing"
        );
    }
}

/// Sixty epochs of cheating.
fn cheating(seed: u64) -> Options {
    Options {
        seed,
        nodes: 12,
        days: 3,
        quick: true,
        adversary: None,
    }
}

/// One network with an honest provider, and with each of these cheats in its place.
fn beside_the_twin(report: &Report, expected: &[Adversary]) {
    let again = report.command();
    let [twin, cheats @ ..] = report.purses.as_slice() else {
        panic!("`{again}` watched nobody");
    };
    assert_eq!(
        (twin.adversary, twin.dropped, twin.fails),
        (None, 0, 0),
        "`{again}`"
    );
    let kinds: Vec<_> = cheats.iter().filter_map(|cheat| cheat.adversary).collect();
    assert_eq!(kinds, expected, "`{again}`");
    for cheat in cheats {
        loses(twin, cheat, &again);
    }
}

/// What a cheat has in the end is less, for lack of pay and by charges; it was up as long.
fn loses(twin: &Account, cheat: &Account, again: &str) {
    let both = format!("`{again}`: {cheat:#?} beside {twin:#?}");
    assert!(cheat.gain < twin.gain, "{both}");
    assert_eq!(cheat.before, twin.before, "other networks: {both}");
    assert_eq!(cheat.starts, twin.starts, "other hours: {both}");
    assert!(cheat.dropped > 0, "it kept everything: {both}");
    assert!(cheat.storage_cost < twin.storage_cost, "{both}");
    assert!(cheat.earned < twin.earned, "{both}");
    assert!(cheat.collateral_lost > twin.collateral_lost, "{both}");
    let (alone, faulted) = (cheat.contracts_faulted, cheat.faulted);
    let struck = faulted > 0 && cheat.charged > 0;
    match cheat.adversary {
        Some(Adversary::RobsOneRenter) => {
            assert!(alone > 0, "its renter's question proves it: {both}");
        }
        // Who hides from the whole tree's draws is asked for single contracts.
        Some(Adversary::DilutesWithJunk) => assert!(struck || alone > 0, "{both}"),
        Some(
            Adversary::SilentWhenHit
            | Adversary::DropsAFraction
            | Adversary::RegeneratesFromOthers
            | Adversary::AnswersStaleProofs,
        )
        | None => assert!(struck, "{both}"),
    }
    let thefts = cheat.thefts;
    match cheat.adversary {
        Some(Adversary::SilentWhenHit) => {
            assert!(cheat.misses > twin.misses, "{both}");
            assert_eq!((cheat.fails, cheat.foreign), (0, 0), "{both}");
        }
        Some(Adversary::DilutesWithJunk) => {
            assert_eq!((cheat.fails, cheat.foreign), (0, 0), "{both}");
        }
        Some(Adversary::RobsOneRenter) => {
            assert_eq!((cheat.fails, cheat.foreign), (0, 0), "{both}")
        }
        Some(Adversary::DropsAFraction) => assert!(cheat.fails > 0, "{both}"),
        Some(Adversary::RegeneratesFromOthers) => {
            assert!(cheat.misses > twin.misses, "{both}");
            assert!(thefts.refused > 0 && thefts.served == 0, "{both}");
            assert!(thefts.tried > 0 && thefts.rebuilt == 0, "{both}");
            assert_eq!(thefts.rebuilt_by_owner, thefts.tried, "{both}");
        }
        Some(Adversary::AnswersStaleProofs) => {
            assert!(cheat.foreign > 0 && cheat.fails == 0, "{both}");
        }
        None => panic!("no cheat: {both}"),
    }
}

#[test]
fn no_cheat_ends_richer_than_its_honest_twin() {
    for seed in 1..3 {
        let report = once(Scenario::Adversaries, cheating(seed));
        beside_the_twin(&report, &Adversary::ALL);
    }
}

#[test]
fn a_seed_means_one_run_of_each_cheat() {
    let report = check(Scenario::Adversaries, cheating(0));
    beside_the_twin(&report, &Adversary::ALL);
}

/// The ledger's sample does not find what is robbed of one renter behind a big contract with oneself.
/// The renter's audits do, its question proves it, and it repairs what it lost there.
#[test]
fn who_robs_one_renter_loses_that_contract_and_its_shards_are_rebuilt_elsewhere() {
    for seed in 20..23 {
        let options = Options {
            adversary: Some(Adversary::RobsOneRenter),
            ..cheating(seed)
        };
        let report = World::adversaries(options).run(&mut |_| {});
        assert!(report.ok(), "{report:#?}");
        let [purse] = report.purses.as_slice() else {
            panic!("one is watched: {report:#?}");
        };
        assert_eq!((purse.contracts_faulted, purse.fails), (1, 0), "{purse:#?}");
        assert!(
            report.dropped > 0 && report.rebuilt >= report.dropped,
            "{report:#?}"
        );
    }
}

#[test]
fn dilution_by_empty_contracts_gains_nothing() {
    for seed in 10..13 {
        let dilutes = [Adversary::DilutesWithJunk];
        let report = adversaries::run(cheating(seed), &dilutes, &mut |_| {});
        assert!(report.ok(), "{report:#?}");
        beside_the_twin(&report, &dilutes);
    }
}
