//! How likely a segment is lost: the birth-death model of `docs/protocol.md` §4.1, in days and
//! probabilities. Floats are allowed here and nowhere near money or proofs.
#![allow(
    clippy::float_arithmetic,
    reason = "durability figures are estimates, never amounts"
)]

use larder_coding::layout::Code;

/// Mean time to failure of a provider until it has been measured, days.
pub const PRIOR_MTTF_DAYS: f64 = 365.0;
/// Mean time to repair: detection (4 misses) and transfer, days.
pub const MRT_DAYS: f64 = 4.0;

/// Mean time to data loss in days, for exponential lifetimes (`mttf`) and repairs (`mrt`, both
/// days) that start when `code.r` shards are left. Exact product of §4.1.
#[must_use]
pub fn mttdl_days(code: Code, mttf: f64, mrt: f64) -> f64 {
    let (alpha, gamma) = (1.0 / mttf, 1.0 / mrt);
    let rate = |i: u16| f64::from(i) * alpha;
    let mut cycle = 0.0;
    let mut loss = 1.0;
    for i in code.k()..=code.r() {
        cycle = (1.0 + rate(i) * cycle) / (rate(i) + gamma);
        loss *= rate(i) / (rate(i) + gamma);
    }
    for i in code.r() + 1..=code.n() {
        cycle += 1.0 / rate(i);
    }
    cycle / loss
}

/// The probability that a segment is lost within a year.
#[must_use]
pub fn annual_loss(code: Code, mttf: f64, mrt: f64) -> f64 {
    -libm::expm1(-365.0 / mttdl_days(code, mttf, mrt))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(k: u16, n: u16, r: u16) -> Code {
        Code::new(k, n, r).unwrap()
    }

    #[test]
    fn golden_vectors_of_the_protocol() {
        for (c, mttf, mrt, days) in [
            (code(4, 8, 5), 30.0, 3.0, 165.375),
            (code(2, 6, 3), 20.0, 2.0, 370.667),
            (code(10, 30, 15), 90.0, 4.0, 32_870.8),
            (code(8, 16, 10), 180.0, 4.0, 18_648.4),
        ] {
            let got = mttdl_days(c, mttf, mrt);
            assert!((got - days).abs() / days < 1e-5, "{c:?}: {got} for {days}");
        }
    }

    #[test]
    fn the_laptop_profile_meets_normal() {
        let loss = annual_loss(code(4, 8, 6), PRIOR_MTTF_DAYS, MRT_DAYS);
        assert!((4e-4..6e-4).contains(&loss), "{loss}");
    }
}
