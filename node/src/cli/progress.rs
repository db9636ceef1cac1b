//! Watches a job until it is over: a bar with rate and time left on a terminal, `status` objects
//! with `--json`, a line now and then otherwise. Ctrl-C cancels the job and waits for it.

use super::exit::{FAILED, Failure, INTERRUPTED};
use super::output::Out;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use larder_rpc::{Client, Job, JobParams, JobResult, JobState, Progress};
use larder_types::Bytes;
use serde_json::json;
use std::time::{Duration, Instant};

/// How often the job is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How often a `status` object is printed.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// How often a plain line is printed where no bar can move.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Watches `job` and gives what it brought.
pub(crate) async fn watch(node: &Client, job: String, out: Out) -> Result<JobResult, Failure> {
    let params = JobParams { job };
    let mut display = Display::new(out);
    let mut look = tokio::time::interval(LOOK);
    let mut cancelled = false;
    loop {
        tokio::select! {
            _ = look.tick() => {}
            pressed = tokio::signal::ctrl_c() => {
                pressed?;
                if cancelled {
                    return Err(Failure::silent(INTERRUPTED));
                }
                cancelled = true;
                out.note("stopping; press Ctrl-C again not to wait");
                node.job_cancel(&params).await?;
            }
        }
        let job = node.job_get(&params).await?;
        if job.state.is_over() {
            display.clear();
            return outcome(job);
        }
        display.show(&job.progress)?;
    }
}

fn outcome(job: Job) -> Result<JobResult, Failure> {
    match (job.state, job.result, job.error) {
        (JobState::Done, Some(result), _) => Ok(result),
        (JobState::Cancelled, _, _) => Err(Failure::new(
            INTERRUPTED,
            "interrupted: what was stored is kept; run the same command again to go on",
        )),
        (_, _, Some(error)) => Err(Failure::new(error.exit_code, error.message)),
        (_, _, None) => Err(Failure::new(
            FAILED,
            "the job ended without a result: the node's log says more",
        )),
    }
}

/// A job's progress, shown.
struct Display {
    out: Out,
    bar: ProgressBar,
    /// When the last object or line was printed.
    said: Instant,
}

impl Display {
    fn new(out: Out) -> Self {
        let bar = ProgressBar::new(0);
        if out.bars() {
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        } else {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        if let Ok(style) = ProgressStyle::with_template(
            "{prefix:<10} {bar:24} {percent:>3}%  {msg}  {elapsed} gone",
        ) {
            bar.set_style(style);
        }
        Self {
            out,
            bar,
            said: Instant::now(),
        }
    }

    fn show(&mut self, progress: &Progress) -> Result<(), Failure> {
        // A recovery counts segments, all else bytes.
        let (done, all) = match progress.total_bytes {
            0 => (progress.segments, progress.total_segments),
            all => (progress.bytes, all),
        };
        self.bar.set_length(all);
        self.bar.set_position(done.min(all));
        self.bar.set_prefix(progress.stage.clone());
        self.bar.set_message(in_words(progress));
        if self.out.json && self.said.elapsed() >= STATUS_EVERY {
            self.said = Instant::now();
            self.out.object(&object(progress))?;
        } else if !self.out.bars() && self.said.elapsed() >= LINE_EVERY {
            self.said = Instant::now();
            self.out
                .note(format_args!("{}  {}", progress.stage, in_words(progress)));
        }
        Ok(())
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Seconds that the rest takes at the present rate.
fn seconds_left(progress: &Progress) -> Option<u64> {
    progress
        .total_bytes
        .saturating_sub(progress.bytes)
        .checked_div(progress.rate)
}

fn in_words(progress: &Progress) -> String {
    if progress.total_files == 0 && progress.total_bytes == 0 && progress.files == 0 {
        return match (&progress.current, progress.total_segments) {
            (Some(step), _) => step.clone(),
            (None, 0) => String::new(),
            (None, all) => format!("{} of {all} segments", progress.segments),
        };
    }
    let left = seconds_left(progress)
        .map_or_else(String::new, |s| format!("  {}:{:02} left", s / 60, s % 60));
    format!(
        "{} of {}, {} of {} files, {}/s{left}",
        Bytes(progress.bytes),
        Bytes(progress.total_bytes),
        progress.files,
        progress.total_files,
        Bytes(progress.rate)
    )
}

fn object(progress: &Progress) -> serde_json::Value {
    json!({
        "message_type": "status",
        "stage": progress.stage,
        "files_done": progress.files,
        "total_files": progress.total_files,
        "bytes_done": progress.bytes,
        "total_bytes": progress.total_bytes,
        "bytes_per_second": progress.rate,
        "seconds_left": seconds_left(progress),
        "segments_done": progress.segments,
        "total_segments": progress.total_segments,
        "current": progress.current,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_the_rate() {
        let mut progress = Progress {
            bytes: 100,
            total_bytes: 1_300,
            rate: 10,
            ..Progress::default()
        };
        assert_eq!(seconds_left(&progress), Some(120));
        assert!(in_words(&progress).ends_with("2:00 left"));
        progress.rate = 0;
        assert_eq!(seconds_left(&progress), None);
    }
}
