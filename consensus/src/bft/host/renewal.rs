//! When to meet the other validators anew, because a height does not end. A cut can leave a connection half
//! open: one side has closed it, the other keeps it until TCP gives up, minutes later. Gossip tells a peer its
//! topics on the first of several connections only, so who connects again meanwhile is not told them, and is
//! mute and deaf for good. Therefore, where a height lasts, all connections are dropped and dialled again.

use std::time::Duration;
use tokio::time::Instant;

/// How long a height may last before the first time. Rounds with their votes take a few seconds; a cut is over
/// sooner only by luck.
const FIRST: Duration = Duration::from_secs(20);
/// Each time it may last twice as long as before, and no longer than this: too few may run for hours.
const MOST: Duration = Duration::from_secs(300);

/// The height that runs, and when its connections were new.
#[derive(Debug)]
pub(super) struct Renewal {
    height: u64,
    since: Instant,
    wait: Duration,
}

impl Renewal {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            height: 0,
            since: now,
            wait: FIRST,
        }
    }

    /// How long until the connections are to be new, while this height runs; nothing: now, and then they are.
    pub(super) fn wait(&mut self, height: u64, now: Instant) -> Duration {
        if self.height != height {
            (self.height, self.since, self.wait) = (height, now, FIRST);
        }
        let left = self
            .wait
            .saturating_sub(now.saturating_duration_since(self.since));
        if left.is_zero() {
            (self.since, self.wait) = (now, self.wait.saturating_mul(2).min(MOST));
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_height_that_lasts_is_met_anew_ever_more_rarely_and_a_new_one_soon() {
        let mut renewal = Renewal::new(Instant::now());
        let mut due = Vec::new();
        let began = Instant::now();
        while due.len() < 7 {
            let left = renewal.wait(7, Instant::now());
            if left.is_zero() {
                due.push(began.elapsed().as_secs());
            }
            tokio::time::advance(left).await;
        }
        assert_eq!(due, [20, 60, 140, 300, 600, 900, 1_200]);
        assert_eq!(renewal.wait(8, Instant::now()), FIRST);
    }
}
