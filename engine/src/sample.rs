//! How much of something is looked at: a share, `5%`, or a size, `1GiB`.

use larder_types::Bytes;
use std::fmt;
use std::str::FromStr;

/// Hundredths of a percent in a whole.
const WHOLE: u64 = 10_000;

/// How much of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// Hundredths of a percent, 1 to 10,000.
    Share(u64),
    /// So many bytes.
    Size(Bytes),
}

/// What is no sample.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a share nor a size: write 5%, 0.5% or 1GiB")]
pub struct ParseSampleError(String);

impl Sample {
    /// How many of `total` bytes: at least one, if there is any, and no more than all.
    #[must_use]
    pub fn of(self, total: u64) -> u64 {
        let wanted = match self {
            Self::Share(share) => {
                let wanted = u128::from(total) * u128::from(share);
                u64::try_from(wanted.div_ceil(u128::from(WHOLE))).unwrap_or(total)
            }
            Self::Size(Bytes(size)) => size.max(1),
        };
        wanted.min(total)
    }
}

impl FromStr for Sample {
    type Err = ParseSampleError;

    fn from_str(text: &str) -> Result<Self, ParseSampleError> {
        let refuse = || ParseSampleError(text.to_owned());
        let Some(percent) = text.trim().strip_suffix('%') else {
            let size: Bytes = text.parse().map_err(|_| refuse())?;
            return (size.0 > 0).then_some(Self::Size(size)).ok_or_else(refuse);
        };
        let (whole, part) = percent
            .trim()
            .split_once('.')
            .unwrap_or((percent.trim(), "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 2 {
            return Err(refuse());
        }
        let whole: u64 = whole.parse().map_err(|_| refuse())?;
        let part: u64 = format!("{part:0<2}").parse().map_err(|_| refuse())?;
        let share = whole.checked_mul(100).and_then(|w| w.checked_add(part));
        let share = share.filter(|share| (1..=WHOLE).contains(share));
        share.map(Self::Share).ok_or_else(refuse)
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(share) if share % 100 == 0 => write!(f, "{}%", share / 100),
            Self::Share(share) => write!(f, "{}.{:02}%", share / 100, share % 100),
            Self::Size(size) => write!(f, "{size}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_sizes_parse_and_are_bounded() {
        for (text, of_a_million) in [
            ("1%", 10_000),
            ("0.5%", 5_000),
            ("12.34%", 123_400),
            ("100%", 1_000_000),
            ("1KiB", 1_024),
            ("1GiB", 1_000_000),
        ] {
            let sample: Sample = text.parse().unwrap();
            assert_eq!(sample.of(1_000_000), of_a_million, "{text}");
            assert_eq!(sample.of(0), 0);
            assert_eq!(sample.of(1), 1, "never nothing of something");
        }
        for text in [
            "", "%", "0%", "101%", "1.234%", "-1%", "1.%", "0GiB", "some",
        ] {
            assert!(text.parse::<Sample>().is_err(), "{text}");
        }
    }

    #[test]
    fn they_print_as_they_parse() {
        for sample in [Sample::Share(50), Sample::Share(100), Sample::Share(1_234)] {
            assert_eq!(sample.to_string().parse(), Ok(sample));
        }
    }
}
