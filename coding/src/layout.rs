//! How a segment's ciphertext C lies in shards: the code, the shard length L (a multiple of
//! 16 KiB), the column stripes of at most 64 KiB, and which bytes of C lie where. Position j < k
//! holds C[j·L .. (j+1)·L], zeros beyond C's end. Lengths in bytes. `docs/protocol.md` §3.2.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;

/// A shard's length is a multiple of this: the proofs' 16-KiB groups.
pub const GROUP_LEN: u64 = 16 << 10;
/// Most bytes of one position in a column stripe: measured best for the encoder's caches.
pub const STRIPE_LEN: usize = 64 << 10;
/// Data bytes that are decoded at a time, if 64 KiB a position are not more.
const DECODE_BYTES: usize = 1 << 20;
/// Most positions of a code; bounds an encoder's memory to 2 · 16 MiB.
pub const MAX_POSITIONS: u16 = 256;

/// No shard is longer, in bytes: the mask's 32-bit block counter ends at 256 GiB.
pub const MAX_SHARD_LEN: u64 = (1 << 38) - GROUP_LEN;

/// A code: k of n positions suffice; at r positions left or fewer a repair is urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "CodeParts", into = "CodeParts")]
pub struct Code {
    k: u16,
    n: u16,
    r: u16,
}

#[derive(Serialize, Deserialize)]
struct CodeParts {
    k: u16,
    n: u16,
    r: u16,
}

/// Numbers that make no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no code: need 1 ≤ k ≤ r ≤ n ≤ {MAX_POSITIONS}, got k = {k}, r = {r}, n = {n}")]
pub struct CodeError {
    /// Data positions.
    pub k: u16,
    /// All positions.
    pub n: u16,
    /// The repair threshold.
    pub r: u16,
}

impl Code {
    /// The code of `k` data positions among `n`, urgent at `r`.
    ///
    /// # Errors
    /// Unless 1 ≤ k ≤ r ≤ n ≤ [`MAX_POSITIONS`].
    pub const fn new(k: u16, n: u16, r: u16) -> Result<Self, CodeError> {
        if 1 <= k && k <= r && r <= n && n <= MAX_POSITIONS {
            Ok(Self { k, n, r })
        } else {
            Err(CodeError { k, n, r })
        }
    }

    /// Data positions: `0..k`.
    #[must_use]
    pub const fn k(self) -> u16 {
        self.k
    }

    /// All positions: `0..n`.
    #[must_use]
    pub const fn n(self) -> u16 {
        self.n
    }

    /// The repair threshold.
    #[must_use]
    pub const fn r(self) -> u16 {
        self.r
    }

    /// Parity positions: `k..n`.
    #[must_use]
    pub const fn parity(self) -> u16 {
        self.n - self.k
    }

    /// How the parity is computed.
    #[must_use]
    pub const fn rate(self) -> Rate {
        let (k, m) = (
            self.k.next_power_of_two(),
            self.parity().next_power_of_two(),
        );
        if self.k == 1 || self.k == self.n {
            Rate::Copy
        } else if k > m || (k == m && self.k <= self.parity()) {
            Rate::High
        } else {
            Rate::Low
        }
    }

    /// The manifest's `rs` field: package, major version, k, n, rate. High-rate and low-rate
    /// parity differ, so that a decoder must know.
    #[must_use]
    pub fn descriptor(self) -> String {
        match self.rate() {
            Rate::Copy => format!("copy {}/{}", self.k, self.n),
            rate @ (Rate::High | Rate::Low) => {
                format!("reed-solomon-simd 3 {}/{} {rate}", self.k, self.n)
            }
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} (r = {})", self.k, self.n, self.r)
    }
}

impl TryFrom<CodeParts> for Code {
    type Error = CodeError;
    fn try_from(p: CodeParts) -> Result<Self, CodeError> {
        Self::new(p.k, p.n, p.r)
    }
}

impl From<Code> for CodeParts {
    fn from(Code { k, n, r }: Code) -> Self {
        Self { k, n, r }
    }
}

/// Which of the package's two incompatible codes it picks, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// No arithmetic: one data position copied, or no parity at all.
    Copy,
    /// The high-rate code.
    High,
    /// The low-rate code.
    Low,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Copy => "copy",
            Self::High => "high",
            Self::Low => "low",
        })
    }
}

/// Whether a shard can have this length, in bytes: whole groups of 16 KiB, at least one, not more
/// than can be masked.
#[must_use]
pub const fn is_shard_len(len: u64) -> bool {
    0 < len && len <= MAX_SHARD_LEN && len.is_multiple_of(GROUP_LEN)
}

/// L: the length of each shard of a segment of `segment_len` bytes over `k` data positions; the
/// least multiple of 16 KiB that holds it, at least one. Of a segment that no shards hold it is no
/// length at all: [`is_shard_len`] says.
///
/// # Panics
/// If `k` is 0, which no [`Code`] has.
#[must_use]
pub fn shard_len(segment_len: u64, k: u16) -> u64 {
    let share = segment_len.div_ceil(u64::from(k)).max(1);
    share.div_ceil(GROUP_LEN).saturating_mul(GROUP_LEN)
}

/// How many column stripes a shard of `shard_len` bytes has.
#[must_use]
pub fn stripes(shard_len: u64) -> u64 {
    shard_len.div_ceil(STRIPE_LEN as u64)
}

/// Which bytes of each shard column stripe `stripe` covers: 64 KiB, the last perhaps fewer.
#[must_use]
pub fn stripe_range(shard_len: u64, stripe: u64) -> Range<u64> {
    let start = (stripe * STRIPE_LEN as u64).min(shard_len);
    start..(start + STRIPE_LEN as u64).min(shard_len)
}

/// How many bytes of each position to decode at a time when some are to be computed: the package's
/// decoder has a fixed cost of 0.46 ms, so that a small k wants longer rows. A multiple of 64 KiB.
#[must_use]
pub fn decode_step(code: Code) -> usize {
    let rows = DECODE_BYTES / usize::from(code.k());
    (rows / STRIPE_LEN).max(1) * STRIPE_LEN
}

/// Where the bytes `range` of C lie: data positions with the range inside each one's shard.
pub fn locate(shard_len: u64, range: Range<u64>) -> impl Iterator<Item = (u16, Range<u64>)> {
    let first = range.start / shard_len;
    let last = range.end.div_ceil(shard_len).max(first);
    (first..last).filter_map(move |j| {
        let base = j * shard_len;
        let start = range.start.max(base) - base;
        let end = range.end.min(base + shard_len) - base;
        Some((u16::try_from(j).ok()?, start..end))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_whole_groups_that_hold_the_segment() {
        for (len, k, want) in [
            (0, 4, 16 << 10),
            (1, 4, 16 << 10),
            (64 << 10, 4, 16 << 10),
            ((64 << 10) + 1, 4, 32 << 10),
            (64 << 20, 20, 3_358_720),
            (64 << 20, 1, 64 << 20),
        ] {
            let got = shard_len(len, k);
            assert_eq!(got, want, "{len} over {k}");
            assert!(got * u64::from(k) >= len && is_shard_len(got));
        }
        for len in [
            0,
            1,
            GROUP_LEN - 1,
            GROUP_LEN + 1,
            MAX_SHARD_LEN + GROUP_LEN,
            u64::MAX,
        ] {
            assert!(!is_shard_len(len), "{len}");
        }
        assert!(is_shard_len(MAX_SHARD_LEN));
        assert!(!is_shard_len(shard_len(u64::MAX, 1)));
    }

    #[test]
    fn stripes_tile_a_shard() {
        for len in [16 << 10, 48 << 10, 64 << 10, 80 << 10, 3_358_720] {
            let mut at = 0;
            for s in 0..stripes(len) {
                let range = stripe_range(len, s);
                assert_eq!(range.start, at);
                assert!(range.end > at && (range.end - at).is_multiple_of(64));
                at = range.end;
            }
            assert_eq!(at, len);
        }
    }

    #[test]
    fn a_range_is_found_position_by_position() {
        let at = |r| locate(100, r).collect::<Vec<_>>();
        assert_eq!(at(0..100), [(0, 0..100)]);
        assert_eq!(at(99..101), [(0, 99..100), (1, 0..1)]);
        assert_eq!(at(250..420), [(2, 50..100), (3, 0..100), (4, 0..20)]);
        assert_eq!(at(100..100), []);
    }

    #[test]
    fn a_code_is_checked_wherever_it_comes_from() {
        use larder_types::codec;
        let code = Code::new(4, 12, 6).unwrap();
        let bytes = codec::encode(&code);
        assert_eq!(codec::decode(&bytes), Ok(code));
        for (k, n, r) in [(0, 4, 2), (5, 4, 4), (4, 8, 3), (4, 8, 9), (20, 300, 30)] {
            assert!(Code::new(k, n, r).is_err());
            assert!(codec::decode::<Code>(&codec::encode(&CodeParts { k, n, r })).is_err());
        }
    }
}
