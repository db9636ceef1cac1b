//! Credit: `u64` nano, 1 credit = 10^9 nano. Arithmetic is checked; no float comes near it.
//! `docs/protocol.md` §3.1.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

/// Nano in one credit.
pub const NANO: u64 = 1_000_000_000;

/// An amount of credit in nano.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Amount(pub u64);

/// A string that is not a decimal amount of at most nine places.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an amount of credit: {0:?} (write it as 12 or 0.5, at most nine decimal places)")]
pub struct ParseAmountError(String);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// `credits` whole credits.
    ///
    /// # Panics
    /// If the amount does not fit; only constants call this.
    #[must_use]
    pub const fn from_credits(credits: u64) -> Self {
        match credits.checked_mul(NANO) {
            Some(nano) => Self(nano),
            None => panic!("amount out of range"),
        }
    }

    /// The amount in nano.
    #[must_use]
    pub const fn nano(self) -> u64 {
        self.0
    }

    /// Sum, or `None` on overflow.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// Difference, or `None` if it would be negative.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// Product, or `None` on overflow.
    #[must_use]
    pub fn checked_mul(self, factor: u64) -> Option<Self> {
        self.0.checked_mul(factor).map(Self)
    }

    /// Difference, at least nothing.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// `⌊self · numerator / denominator⌋`, through `u128`; `None` if it does not fit or the
    /// denominator is 0.
    #[must_use]
    pub fn mul_div(self, numerator: u64, denominator: u64) -> Option<Self> {
        (u128::from(self.0) * u128::from(numerator))
            .checked_div(u128::from(denominator))
            .and_then(|nano| u64::try_from(nano).ok())
            .map(Self)
    }
}

impl Sum for Amount {
    /// # Panics
    /// On overflow: total supply is below 2^63 nano, so a sum beyond it is a bug.
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, |a, b| {
            a.checked_add(b).expect("supply stays below 2^63 nano")
        })
    }
}

impl fmt::Display for Amount {
    /// Decimal credits without trailing zeros: `100`, `0.5`, `0.000000001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, nano) = (self.0 / NANO, self.0 % NANO);
        if nano == 0 {
            return write!(f, "{whole}");
        }
        let places = format!("{nano:09}");
        write!(f, "{whole}.{}", places.trim_end_matches('0'))
    }
}

impl FromStr for Amount {
    type Err = ParseAmountError;

    fn from_str(s: &str) -> Result<Self, ParseAmountError> {
        let refuse = || ParseAmountError(s.to_owned());
        let (whole, places) = s.split_once('.').unwrap_or((s, "0"));
        let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(places) || places.len() > 9 {
            return Err(refuse());
        }
        let nano: u64 = format!("{places:0<9}").parse().map_err(|_| refuse())?;
        whole
            .parse::<u64>()
            .ok()
            .and_then(|w| w.checked_mul(NANO))
            .and_then(|w| w.checked_add(nano))
            .map(Self)
            .ok_or_else(refuse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_print_and_parse() {
        for (text, nano) in [
            ("0", 0),
            ("1", NANO),
            ("0.5", NANO / 2),
            ("0.000000001", 1),
            ("12.34", 12_340_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Amount(nano)));
            assert_eq!(Amount(nano).to_string(), text);
        }
        for bad in [
            "",
            ".",
            "1.",
            "-1",
            "1e3",
            "0.0000000001",
            "99999999999999",
            " 1",
            "+1",
        ] {
            assert!(bad.parse::<Amount>().is_err(), "{bad}");
        }
    }

    #[test]
    fn arithmetic_is_checked() {
        assert_eq!(Amount(u64::MAX).checked_add(Amount(1)), None);
        assert_eq!(Amount(0).checked_sub(Amount(1)), None);
        assert_eq!(
            Amount(u64::MAX).mul_div(3, 4),
            Some(Amount((u64::MAX / 4) * 3 + 2))
        );
        assert_eq!(Amount(1).mul_div(1, 0), None);
    }
}
