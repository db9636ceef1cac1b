//! What the demo tells at its end: an object for programs, a page for people.

use super::repair::Mended;
use super::table::{self, Row};
use super::usage::Usage;
use crate::cli::{Failure, Out};
use larder_types::{Amount, Bytes};
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// How long each stage took, in order.
pub(super) struct Stages {
    begun: Instant,
    took: Vec<(&'static str, Duration)>,
}

impl Stages {
    pub(super) fn start() -> Self {
        Self {
            begun: Instant::now(),
            took: Vec::new(),
        }
    }

    /// Runs a stage to its end; if it fails, the failure says which it was.
    pub(super) async fn run<T>(
        &mut self,
        name: &'static str,
        stage: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let begun = Instant::now();
        let done = stage.await.map_err(|failure| failure.of_stage(name))?;
        self.took.push((name, begun.elapsed()));
        Ok(done)
    }

    fn object(&self) -> Value {
        let mut object: Map<String, Value> = self
            .took
            .iter()
            .map(|(name, took)| ((*name).to_owned(), seconds(*took)))
            .collect();
        object.insert("total".to_owned(), seconds(self.begun.elapsed()));
        Value::Object(object)
    }

    fn line(&self) -> String {
        let stages: Vec<_> = self
            .took
            .iter()
            .map(|(name, took)| format!("{name} {:.1}", took.as_secs_f64()))
            .collect();
        format!(
            "{:.1} s ({})",
            self.begun.elapsed().as_secs_f64(),
            stages.join(", ")
        )
    }
}

/// Seconds to the millisecond.
fn seconds(span: Duration) -> Value {
    let ms = u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
    json!(f64::from(ms) / 1_000.0)
}

/// What one provider was paid for.
pub(super) struct Paid {
    pub(super) name: String,
    pub(super) stored: u64,
    pub(super) passed: u64,
    pub(super) missed: u64,
    pub(super) earned: Amount,
}

/// What the demo came to.
pub(super) struct Summary {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) bytes_stored: u64,
    pub(super) segments: u64,
    pub(super) k: u16,
    pub(super) n: u16,
    pub(super) cost: Amount,
    pub(super) validators: usize,
    pub(super) killed: usize,
    pub(super) mended: Mended,
    pub(super) paid: Vec<Paid>,
    pub(super) recovered_from_words: bool,
    pub(super) identical: bool,
    pub(super) compared_files: u64,
    pub(super) full_redundancy: bool,
    pub(super) rows: Vec<Row>,
    pub(super) keeper: Usage,
    pub(super) validator: Usage,
    pub(super) providers: Vec<Usage>,
}

impl Summary {
    fn accepted(&self) -> u64 {
        self.paid.iter().map(|p| p.passed).sum()
    }

    fn missed(&self) -> u64 {
        self.paid.iter().map(|p| p.missed).sum()
    }

    fn credits(&self) -> Amount {
        self.paid.iter().map(|p| p.earned).sum()
    }

    /// The busiest provider's memory, all providers' time.
    fn all_providers(&self) -> Usage {
        self.providers
            .iter()
            .copied()
            .fold(Usage::default(), Usage::join)
    }

    fn object(&self, stages: &Stages) -> Value {
        json!({
            "message_type": "summary",
            "files": self.files,
            "bytes": self.bytes,
            "bytes_stored": self.bytes_stored,
            "segments": self.segments,
            "k": self.k,
            "n": self.n,
            "providers": self.paid.len(),
            "validators": self.validators,
            "validator_restarted": self.mended.validator_restarted,
            "killed": self.killed,
            "shards_repaired": self.mended.shards,
            "repair_bytes_read": self.mended.bytes_read,
            "repair_bytes_written": self.mended.bytes_written,
            "proofs_accepted": self.accepted(),
            "proofs_missed": self.missed(),
            "credits_paid": self.credits().to_string(),
            "recovered_from_words": self.recovered_from_words,
            "restored_identical": self.identical,
            "full_redundancy": self.full_redundancy,
            "moments": table::object(&self.rows),
            "seconds": stages.object(),
            "usage": {
                "keeper": self.keeper,
                "validator": self.validator,
                "providers": self.all_providers(),
            },
        })
    }

    /// Tells it.
    pub(super) fn tell(&self, stages: &Stages, out: Out) -> Result<(), Failure> {
        self.lines(stages, out)
            .into_iter()
            .try_for_each(|line| out.line(line))?;
        out.object(&self.object(stages))
    }

    fn lines(&self, stages: &Stages, out: Out) -> Vec<String> {
        let identical = if self.identical {
            "identical, byte for byte"
        } else {
            "NOT identical"
        };
        let mut lines = vec![String::new()];
        lines.extend(table::lines(&self.rows));
        lines.extend([
            String::new(),
            format!(
                "stored     {} in {} files as {}; any {} of {} shards bring a segment back",
                Bytes(self.bytes),
                self.files,
                Bytes(self.bytes_stored),
                self.k,
                self.n
            ),
            format!(
                "proofs     {} accepted, {} missed",
                self.accepted(),
                self.missed()
            ),
            format!(
                "paid       {} credits of {} put in escrow",
                self.credits(),
                self.cost
            ),
            format!(
                "repaired   {} shards: {} read, {} written",
                self.mended.shards,
                Bytes(self.mended.bytes_read),
                Bytes(self.mended.bytes_written)
            ),
            format!(
                "recovered  the keeper from its words: {}",
                yes(self.recovered_from_words)
            ),
            format!("restored   {} files, {identical}", self.compared_files),
            format!("time       {}", stages.line()),
        ]);
        if out.verbose {
            lines.extend(self.paid.iter().map(Paid::line));
            lines.push(usage_line("keeper", self.keeper));
            lines.push(usage_line("validators", self.validator));
            lines.push(usage_line("providers", self.all_providers()));
        }
        lines
    }
}

fn yes(so: bool) -> &'static str {
    if so { "yes" } else { "NO" }
}

impl Paid {
    fn line(&self) -> String {
        format!(
            "{:<12} {:>10} proven, {} proofs, {} missed, earned {} credits",
            self.name,
            Bytes(self.stored).to_string(),
            self.passed,
            self.missed,
            self.earned
        )
    }
}

fn usage_line(name: &str, usage: Usage) -> String {
    format!(
        "{name:<10} {} peak memory, {}.{:01} CPU seconds",
        Bytes(usage.peak_rss),
        usage.cpu_ms / 1_000,
        usage.cpu_ms % 1_000 / 100
    )
}
