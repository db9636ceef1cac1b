//! A token bucket: how many bytes repair may move now, so that the loss of a large provider does
//! not take a household's whole line. Bytes, bytes per second, milliseconds. `docs/protocol.md`
//! §3.11.

use larder_types::{Millis, Time};

/// Bytes per second that repairs may read and write.
pub(crate) const RATE: u64 = 64 << 20;
/// What may be moved at once after a rest.
pub(crate) const BURST: u64 = 1 << 30;

/// Tokens that come back with time, up to a burst.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    rate: u64,
    burst: u64,
    tokens: u64,
    filled_at: Time,
}

impl Default for Bucket {
    fn default() -> Self {
        Self::new(RATE, BURST)
    }
}

impl Bucket {
    /// A full bucket.
    pub(crate) const fn new(rate: u64, burst: u64) -> Self {
        Self {
            rate,
            burst,
            tokens: burst,
            filled_at: Time(0),
        }
    }

    fn fill(&mut self, now: Time) {
        let fresh = u128::from(now.since(self.filled_at).0) * u128::from(self.rate) / 1_000;
        let fresh = u64::try_from(fresh).unwrap_or(u64::MAX);
        // A gain of nothing must not move the clock, or many short steps would never fill it.
        if fresh > 0 {
            self.tokens = self.tokens.saturating_add(fresh).min(self.burst);
            self.filled_at = now;
        }
    }

    /// Takes `bytes`, or says when they will be there. More than a burst costs a burst: it must go
    /// some time.
    ///
    /// # Errors
    /// When to ask again.
    pub(crate) fn take(&mut self, now: Time, bytes: u64) -> Result<(), Time> {
        self.fill(now);
        let cost = bytes.min(self.burst);
        match self.tokens.checked_sub(cost) {
            Some(left) => {
                self.tokens = left;
                Ok(())
            }
            None => {
                let lacking = u128::from(cost - self.tokens) * 1_000;
                let wait = lacking.div_ceil(u128::from(self.rate.max(1)));
                Err(now.after(Millis(u64::try_from(wait).unwrap_or(u64::MAX / 2))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut bucket = Bucket::new(100, 1_000);
        let now = Time(5_000);
        assert_eq!(bucket.take(now, 700), Ok(()));
        assert_eq!(bucket.take(now, 300), Ok(()));
        assert_eq!(bucket.take(now, 50), Err(Time(5_500)));
        assert_eq!(bucket.take(Time(5_499), 50), Err(Time(5_509)));
        assert_eq!(bucket.take(Time(5_509), 50), Ok(()));
    }

    #[test]
    fn many_short_steps_fill_it_too() {
        let mut bucket = Bucket::new(1, 10);
        assert_eq!(bucket.take(Time(0), 10), Ok(()));
        for ms in 1..=4_000 {
            assert!(bucket.take(Time(ms), 10).is_err());
        }
        assert_eq!(bucket.take(Time(4_000), 4), Ok(()));
    }

    #[test]
    fn what_is_larger_than_a_burst_costs_a_burst() {
        let mut bucket = Bucket::new(100, 1_000);
        assert_eq!(bucket.take(Time(1), u64::MAX), Ok(()));
        assert_eq!(bucket.take(Time(1), u64::MAX), Err(Time(10_001)));
    }
}
