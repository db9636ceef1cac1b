//! How far a provider is to be trusted with data, from what its answers to audits have shown: the
//! fifth percentile of the Beta posterior of retention, over a uniform prior. An unknown provider
//! stands at 5 %, and rises as it shows what it holds. Estimates, in parts per million; nowhere
//! near money or proofs. DESIGN, *Placement*; `docs/protocol.md` §3.7.
#![allow(
    clippy::float_arithmetic,
    reason = "ranks are estimates, never amounts"
)]

/// The percentile that counts: one in twenty providers with this record is worse.
const PERCENTILE: f64 = 0.05;
/// Halvings of the interval in which it lies: to 10^-6.
const HALVINGS: u32 = 20;
/// Below this nothing is told apart.
const LEAST: f64 = 0.01;

/// The fifth percentile of Beta(1 + `good`, 1 + `bad`), in parts per million, at least 10,000.
/// `good + bad` is to be at most a few hundred.
#[must_use]
pub fn retention_ppm(good: u32, bad: u32) -> u64 {
    let (mut low, mut high) = (LEAST, 1.0);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if below(middle, good, bad) < PERCENTILE {
            low = middle;
        } else {
            high = middle;
        }
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0.01 and 1"
    )]
    let ppm = (low * 1e6) as u64;
    ppm
}

/// P(X < x) for X of Beta(1 + good, 1 + bad): as many or fewer than `bad` of good + bad + 1 throws
/// fail, each with probability 1 − x.
fn below(x: f64, good: u32, bad: u32) -> f64 {
    let throws = f64::from(good) + f64::from(bad) + 1.0;
    let mut term = libm::pow(x, throws);
    let mut sum = 0.0;
    for failed in 0..=bad {
        sum += term;
        let failed = f64::from(failed);
        term *= (throws - failed) / (failed + 1.0) * (1.0 - x) / x;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The percentile is what integrating the density in small steps says.
    fn check(good: u32, bad: u32) {
        let density = |x: f64| libm::pow(x, f64::from(good)) * libm::pow(1.0 - x, f64::from(bad));
        let steps = 100_000u32;
        let at = |i: u32| (f64::from(i) + 0.5) / f64::from(steps);
        let whole: f64 = (0..steps).map(|i| density(at(i))).sum();
        let mut sum = 0.0;
        let slow = (0..steps).map(at).find(|x| {
            sum += density(*x);
            sum >= PERCENTILE * whole
        });
        let fast = f64::from(u32::try_from(retention_ppm(good, bad)).unwrap()) / 1e6;
        assert!(
            (fast - slow.unwrap().max(LEAST)).abs() < 1e-4,
            "{good} {bad}: {fast} {slow:?}"
        );
    }

    #[test]
    fn the_percentile_is_that_of_the_posterior() {
        for (good, bad) in [
            (0, 0),
            (1, 0),
            (20, 0),
            (128, 0),
            (20, 2),
            (64, 64),
            (0, 5),
            (0, 128),
        ] {
            check(good, bad);
        }
    }

    #[test]
    fn it_rises_with_what_is_shown_and_falls_with_what_is_not() {
        assert_eq!(retention_ppm(0, 0) / 1_000, 50 - 1);
        assert!(retention_ppm(1, 0) > retention_ppm(0, 0));
        assert!(retention_ppm(20, 0) > 860_000);
        assert!(retention_ppm(20, 1) < retention_ppm(20, 0));
        assert!(
            retention_ppm(20, 1) > retention_ppm(0, 0),
            "known is better than unknown"
        );
    }
}
