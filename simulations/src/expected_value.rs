//! The expected value of cheating, over the grid of dropped fractions and dilutions that
//! `docs/protocol.md` §3.7 was written from: with the charges, the FAIL share and the public
//! parameters as the ledger has them, no strategy gains; with fewer draws or without the charges
//! some do, so that the grid can tell. Unit: what an honest provider earns in one epoch.
//!
//! A provider drops the fraction f of what it stores and makes its weight D-fold by contracts with
//! itself, which cost it the fee φ. A draw hits a hole with P = 1 − (1 − f/D)^c.

use larder_ledger::strikes::{CHARGES, FAIL_SHARE};
use larder_types::{Params, Profile};
use std::ops::RangeInclusive;

/// Shares of pay that are burned.
const FEES: [f64; 3] = [0.005, 0.01, 0.02];
/// What storing costs, as a share of pay.
const COSTS: [f64; 3] = [0.3, 0.6, 0.9];
/// The other epochs in which an earlier miss counts.
const OTHERS: u32 = 29;

fn public() -> Params {
    Params::profile(Profile::Public)
}

/// Epochs of pay that a provider loses beside the epoch's own when it is FAULTED for a false
/// proof: what has not vested, and the FAIL share of its collateral.
fn fail_cost() -> f64 {
    let Params {
        vesting,
        collateral_epochs,
        ..
    } = public();
    f64::from(vesting) + f64::from(collateral_epochs) / real(FAIL_SHARE)
}

fn real(n: u64) -> f64 {
    f64::from(u32::try_from(n).expect("a small number"))
}

/// The chance that one of `c` draws hits a hole.
fn hit(f: f64, dilution: f64, c: i32) -> f64 {
    1.0 - (1.0 - f / dilution).powi(c)
}

/// Epochs of pay that a miss costs on average beside the epoch's own, if each epoch is missed with
/// chance `p`: misses of the other 29 epochs are binomial, and each counts towards the next charge.
fn charge(p: f64, charges: &[u64]) -> f64 {
    let mut choose = 1.0;
    let mut mean = 0.0;
    for others in 0..=OTHERS {
        let (i, rest) = (others.cast_signed(), (OTHERS - others).cast_signed());
        let chance = choose * p.powi(i) * (1.0 - p).powi(rest);
        let cost = charges.get(others as usize);
        mean += chance * cost.map_or_else(fail_cost, |epochs| real(*epochs));
        choose *= f64::from(OTHERS - others) / f64::from(others + 1);
    }
    mean
}

/// A strategy, and what it is worth an epoch.
#[derive(Debug, Clone, Copy)]
struct Best {
    value: f64,
    f: f64,
    dilution: f64,
}

/// What remains silent whenever a draw hits a hole: the best strategy of the grid for each fee and
/// cost of storage. `charge` is what a miss costs beside the pay, by its chance and the dilution.
fn silent(c: i32, charge: impl Fn(f64, f64) -> f64) -> [[Best; 3]; 3] {
    let none = Best {
        value: f64::NEG_INFINITY,
        f: 0.0,
        dilution: 0.0,
    };
    let mut best = [[none; 3]; 3];
    for (f, dilution) in grid(50, 0..=799, 0.25) {
        let p = hit(f, dilution, c);
        let missed = p * (1.0 + charge(p, dilution));
        for (row, fee) in best.iter_mut().zip(FEES) {
            for (cell, cost) in row.iter_mut().zip(COSTS) {
                let value = f * cost - fee * (dilution - 1.0) - missed;
                if value > cell.value {
                    *cell = Best { value, f, dilution };
                }
            }
        }
    }
    best
}

/// What answers falsely whenever a draw hits a hole: the penalty, epochs of pay, that takes away
/// what it gains on average until then; the most over the grid.
fn penalty_needed(c: i32, fee: f64, cost: f64) -> f64 {
    let need = |(f, dilution): (f64, f64)| {
        let gain = f * cost - fee * (dilution - 1.0);
        let p = hit(f, dilution, c);
        if gain > 0.0 {
            gain * (1.0 - p) / p
        } else {
            0.0
        }
    };
    grid(100, 0..=1399, 0.05).map(need).fold(0.0, f64::max)
}

/// Every dropped fraction with every dilution.
fn grid(
    fractions: u32,
    dilutions: RangeInclusive<u32>,
    step: f64,
) -> impl Iterator<Item = (f64, f64)> {
    (1..=fractions).flat_map(move |i| {
        let f = f64::from(i) / f64::from(fractions);
        let dilutions = dilutions.clone();
        dilutions.map(move |i| (f, 1.0 + step * f64::from(i)))
    })
}

/// The values of a grid are those of the paper's, to its third decimal.
fn check(best: &[[Best; 3]; 3], paper: [[f64; 3]; 3]) {
    for (row, expected) in best.iter().zip(paper) {
        for (cell, expected) in row.iter().zip(expected) {
            let off = (cell.value - expected).abs();
            let Best { value, f, dilution } = cell;
            assert!(
                off < 0.000_6,
                "{value} at f = {f}, D = {dilution}; the paper has {expected}"
            );
        }
    }
}

fn best_of(best: [[Best; 3]; 3]) -> f64 {
    let cells = best.iter().flatten().map(|cell| cell.value);
    cells.fold(f64::NEG_INFINITY, f64::max)
}

#[test]
fn the_public_parameters_are_those_of_the_grid() {
    let params = public();
    assert!(params.challenges >= 16, "{}", params.challenges);
    assert!(f64::from(params.burn_ppm) / 1e6 >= FEES[0]);
    assert!((fail_cost() - 14.5).abs() < 1e-9, "{}", fail_cost());
}

#[test]
fn at_16_draws_and_half_a_percent_burned_no_silence_gains() {
    let best = silent(16, |p, _| charge(p, &CHARGES));
    // The best of each cell is below nothing, so every point of the grid is.
    assert!(best_of(best) < 0.0, "{best:?}");
    let paper = [
        [-0.097, -0.091, -0.085],
        [-0.148, -0.142, -0.136],
        [-0.226, -0.220, -0.214],
    ];
    check(&best, paper);
}

#[test]
fn at_5_draws_a_silent_provider_gains_in_spite_of_the_charges() {
    let best = silent(5, |p, _| charge(p, &CHARGES));
    assert!(best_of(best) > 0.29, "{best:?}");
    let paper = [
        [-0.044, -0.006, 0.294],
        [-0.066, -0.060, -0.054],
        [-0.097, -0.091, -0.085],
    ];
    check(&best, paper);
}

#[test]
fn where_a_miss_costs_only_the_pay_a_silent_provider_gains() {
    let paper = [
        [-0.068, 0.079, 0.379],
        [-0.096, -0.090, 0.192],
        [-0.131, -0.125, -0.039],
    ];
    check(&silent(16, |_, _| 0.0), paper);
    let paper = [
        [-0.001, 0.299, 0.599],
        [-0.047, 0.184, 0.484],
        [-0.063, 0.031, 0.331],
    ];
    check(&silent(5, |_, _| 0.0), paper);
}

/// The best of all where the own contracts have `ratio` times the collateral of the others, by their pay:
/// they bear that much more of each charge, and their renter is the cheat.
fn shared(ratio: f64) -> f64 {
    let borne = |dilution: f64| dilution / (1.0 + ratio * (dilution - 1.0));
    best_of(silent(16, |p, dilution| {
        charge(p, &CHARGES) * borne(dilution)
    }))
}

#[test]
fn own_contracts_of_more_collateral_take_too_little_off_the_charges() {
    let Params {
        collateral_epochs,
        collateral_most,
        ..
    } = public();
    let ratio = f64::from(collateral_most) / f64::from(collateral_epochs);
    assert!(shared(ratio) < 0.0, "{} at {ratio}", shared(ratio));
    let near = |ratio: f64, value: f64| {
        let got = shared(ratio);
        assert!((got - value).abs() < 0.000_6, "{got} at {ratio}, {value}");
    };
    near(1.0, -0.085);
    near(2.0, -0.074);
    near(4.0, -0.048);
    // Beyond that some silence gains.
    near(8.0, 0.088);
    near(30.0, 0.266);
}

#[test]
fn a_charge_less_and_some_silence_gains() {
    // Charges that come three misses later, and no FAULTED before the ninth.
    let late = [0, 0, 0, 0, 1, 2, 4, 8];
    assert!(best_of(silent(16, |p, _| charge(p, &late))) > 0.0);
}

#[test]
fn a_false_proof_costs_six_times_what_cheating_gains_until_it_is_found() {
    for fee in FEES {
        for cost in COSTS {
            let needed = penalty_needed(16, fee, cost);
            assert!(fail_cost() > 6.0 * needed, "{needed} at {fee}, {cost}");
        }
    }
    let at = |c, fee| penalty_needed(c, fee, 0.9);
    let near = |value: f64, paper: f64| assert!((value - paper).abs() < 0.006, "{value}, {paper}");
    near(at(16, 0.005), 2.16);
    near(at(16, 0.01), 1.07);
    near(at(16, 0.02), 0.46);
    near(at(5, 0.005), 7.48);
    near(at(5, 0.01), 3.88);
    near(at(5, 0.02), 1.86);
}

#[test]
fn an_honest_provider_pays_little_for_its_misses() {
    let near = |p: f64, paper: f64| {
        let cost = p * charge(p, &CHARGES);
        assert!((cost - paper).abs() < 0.000_6, "{cost} at {p}, {paper}");
    };
    near(0.01, 0.003);
    near(0.02, 0.012);
    near(0.03, 0.029);
    near(0.05, 0.093);
}
