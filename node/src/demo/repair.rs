//! The repair, watched: the ledger finds the dead FAULTED after some missed epochs, the keeper
//! rebuilds what they held and places it with others. It is over when the keeper says that every
//! segment is whole and the live providers hold as many shards as there were before the loss.

use super::ledger;
use super::loss::Loss;
use super::network::{LOOK, Network, OnDisk, SETTLE};
use super::plan::Plan;
use super::validators::Outage;
use crate::cli::{FAILED, Failure, Out};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use larder_rpc::{Empty, Repairs};
use larder_types::size::MIB;
use larder_types::{Params, Profile};
use serde_json::json;
use std::time::{Duration, Instant};

/// Epochs that may pass beside those until the providers are FAULTED: the one in which they were
/// killed, those until their contracts are closed, and a margin.
const EPOCHS: u32 = 6;
/// Bytes of the backup that are read for repair in a second, at the very least.
const RATE: u64 = 2 * MIB;

/// What the repair came to, by the keeper's own count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mended {
    /// Shards rebuilt and placed with others.
    pub(super) shards: u64,
    /// Bytes of shards read for that.
    pub(super) bytes_read: u64,
    /// Bytes of shards written for that.
    pub(super) bytes_written: u64,
    /// Whether a validator was killed meanwhile, and came back to vote.
    pub(super) validator_restarted: bool,
    /// Most segments that were below full redundancy at any look.
    pub(super) worst: u64,
}

/// Waits until the redundancy is full again.
pub(super) async fn until_mended(
    net: &mut Network,
    plan: &Plan,
    before: OnDisk,
    loss: Loss,
    out: Out,
) -> Result<Mended, Failure> {
    let faulted_after = Params::profile(Profile::Dev).faulted_after;
    let reading = Duration::from_secs(before.bytes / RATE);
    let within = SETTLE + plan.epoch.to_std() * (faulted_after + EPOCHS) + reading;
    let deadline = Instant::now() + within;
    let missed_before = missed(net).await?;
    let mut shown = Shown::new(out, loss.shards);
    let mut worst = 0;
    let mut outage = Outage::of(plan.validators);
    loop {
        let repairs = net.keeper.client.renter_repairs(&Empty {}).await?;
        worst = worst.max(repairs.segments_below_full);
        let now = Look {
            epoch: net.validator.client.chain_head(&Empty {}).await?.epoch,
            missed: least_missed(&missed_before, &missed(net).await?).min(faulted_after.into()),
            faulted_after,
            below_full: repairs.segments_below_full,
            repaired: mended(&repairs).shards,
            lost: loss.shards,
        };
        shown.show(now)?;
        if repairs.full_redundancy && net.on_disk().await?.shards >= before.shards {
            shown.clear();
            outage.end(net, out).await?;
            return Ok(Mended {
                worst,
                validator_restarted: outage == Outage::Over,
                ..mended(&repairs)
            });
        }
        if Instant::now() > deadline {
            let span = within.as_secs();
            let why = repairs.trouble.unwrap_or_default();
            return Err(Failure::new(
                FAILED,
                format_args!("after {span} s: {} {why}", now.words()),
            ));
        }
        outage.step(net, &repairs, out).await?;
        net.check()?;
        tokio::time::sleep(LOOK).await;
    }
}

fn mended(repairs: &Repairs) -> Mended {
    Mended {
        shards: repairs.shards_repaired,
        bytes_read: repairs.bytes_read,
        bytes_written: repairs.bytes_written,
        worst: 0,
        validator_restarted: false,
    }
}

/// Challenges that each of the fallen has missed so far.
async fn missed(net: &Network) -> Result<Vec<u64>, Failure> {
    let mut missed = Vec::new();
    for fallen in &net.fallen {
        let shown = ledger::provider(&net.validator.client, fallen.node).await?;
        missed.push(shown.missed);
    }
    Ok(missed)
}

fn least_missed(before: &[u64], now: &[u64]) -> u64 {
    let since = before.iter().zip(now).map(|(b, n)| n.saturating_sub(*b));
    since.min().unwrap_or(0)
}

/// What one look at the network saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    epoch: u32,
    /// Challenges that all of the dead have missed.
    missed: u64,
    faulted_after: u32,
    below_full: u64,
    repaired: u64,
    lost: u64,
}

impl Look {
    fn words(&self) -> String {
        let Self {
            epoch,
            missed,
            faulted_after,
            below_full,
            repaired,
            lost,
        } = self;
        if *below_full == 0 && *repaired == 0 {
            format!("epoch {epoch}: the dead have missed {missed} of {faulted_after} challenges")
        } else {
            format!(
                "epoch {epoch}: {repaired} of {lost} shards rebuilt, {below_full} segments below \
                 full redundancy"
            )
        }
    }
}

/// The progress, shown: a bar on a terminal, `status` objects with `--json`, else a line whenever
/// something has changed.
struct Shown {
    out: Out,
    bar: ProgressBar,
    last: Option<Look>,
}

impl Shown {
    fn new(out: Out, lost: u64) -> Self {
        let target = match out.bars() {
            true => ProgressDrawTarget::stderr_with_hz(5),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(lost), target);
        if let Ok(style) =
            ProgressStyle::with_template("repair     {bar:24} {percent:>3}%  {msg}  {elapsed} gone")
        {
            bar.set_style(style);
        }
        Self {
            out,
            bar,
            last: None,
        }
    }

    fn show(&mut self, now: Look) -> Result<(), Failure> {
        self.bar.set_position(now.repaired.min(now.lost));
        self.bar.set_message(now.words());
        if self.last.replace(now) == Some(now) {
            return Ok(());
        }
        if !self.out.bars() {
            self.out.note(format_args!("   {}", now.words()));
        }
        self.out.object(&json!({
            "message_type": "status",
            "stage": "repair",
            "epoch": now.epoch,
            "missed": now.missed,
            "segments_below_full": now.below_full,
            "shards_repaired": now.repaired,
            "shards_lost": now.lost,
        }))
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_says_what_is_waited_for() {
        let look = Look {
            epoch: 7,
            missed: 2,
            faulted_after: 3,
            below_full: 0,
            repaired: 0,
            lost: 9,
        };
        assert!(look.words().contains("missed 2 of 3"));
        let rebuilding = Look {
            below_full: 4,
            ..look
        };
        assert!(rebuilding.words().contains("0 of 9 shards"));
        assert_eq!(least_missed(&[1, 5], &[4, 6]), 1);
        assert_eq!(least_missed(&[], &[]), 0);
    }
}
