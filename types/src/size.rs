//! Sizes in bytes, written as people write them: `512 MiB`, `2GB`, `4096`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A number of bytes.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// A string that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a size: {0:?} (write it as 500MB, 20GiB or a number of bytes)")]
pub struct ParseBytesError(String);

/// 1 KiB.
pub const KIB: u64 = 1 << 10;
/// 1 MiB.
pub const MIB: u64 = 1 << 20;
/// 1 GiB.
pub const GIB: u64 = 1 << 30;

const UNITS: [(&str, u64); 10] = [
    ("tib", 1 << 40),
    ("gib", GIB),
    ("mib", MIB),
    ("kib", KIB),
    ("tb", 1_000_000_000_000),
    ("gb", 1_000_000_000),
    ("mb", 1_000_000),
    ("kb", 1_000),
    ("b", 1),
    ("", 1),
];

impl FromStr for Bytes {
    type Err = ParseBytesError;

    fn from_str(s: &str) -> Result<Self, ParseBytesError> {
        let refuse = || ParseBytesError(s.to_owned());
        let text = s.trim().to_ascii_lowercase();
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let unit = UNITS
            .iter()
            .find(|(name, _)| *name == unit.trim())
            .ok_or_else(refuse)?
            .1;
        let (whole, places) = number.split_once('.').unwrap_or((number, "0"));
        if whole.is_empty() || places.is_empty() || places.len() > 6 {
            return Err(refuse());
        }
        let whole: u64 = whole.parse().map_err(|_| refuse())?;
        let micro: u64 = format!("{places:0<6}").parse().map_err(|_| refuse())?;
        let fraction = u128::from(micro) * u128::from(unit) / 1_000_000;
        u64::try_from(u128::from(whole) * u128::from(unit) + fraction)
            .map(Self)
            .map_err(|_| refuse())
    }
}

impl fmt::Display for Bytes {
    /// Three significant digits or so, in binary units: `1.5 GiB`, `640 KiB`, `17 B`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, name) in [(1 << 40, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")] {
            if self.0 >= unit {
                let tenths = u128::from(self.0) * 10 / u128::from(unit);
                return write!(f, "{}.{} {name}", tenths / 10, tenths % 10);
            }
        }
        write!(f, "{} B", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_parse_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("20 GiB", 20 * GIB),
            ("1.5gib", GIB * 3 / 2),
            ("2GB", 2_000_000_000),
            ("64MiB", 64 * MIB),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for bad in ["", "GiB", "-1", "1 parsec", "1..2", "99999999999 TiB"] {
            assert!(bad.parse::<Bytes>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_print_shortly() {
        assert_eq!(Bytes(17).to_string(), "17 B");
        assert_eq!(Bytes(GIB * 3 / 2).to_string(), "1.5 GiB");
    }
}
