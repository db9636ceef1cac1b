//! `larder repairs`: what is lost, what is being rebuilt, what was.

use super::connect::{Asked, ask};
use super::exit::{DAMAGE, Failure};
use super::output::Out;
use larder_rpc::{Empty, Repair, RepairState, Repairs, SegmentHealth};
use larder_types::Bytes;
use serde_json::{Value, json};
use std::path::Path;

/// Ended repairs shown to people; `--json` gives all that the node remembers.
const ENDED: usize = 10;

pub(super) fn repairs(home: &Path, out: Out) -> Asked {
    ask(home, |node| async move {
        let repairs = node.renter_repairs(&Empty {}).await?;
        for object in objects(&repairs) {
            out.object(&object)?;
        }
        for line in lines(&repairs) {
            out.line(line)?;
        }
        if repairs.segments_lost > 0 {
            return Err(Failure::silent(DAMAGE));
        }
        Ok(())
    })
}

fn objects(repairs: &Repairs) -> Vec<Value> {
    let segments = repairs.below_full.iter().map(segment_object);
    let each = repairs.repairs.iter().map(repair_object);
    let summary = summary_object(repairs);
    segments.chain(each).chain([summary]).collect()
}

fn segment_object(segment: &SegmentHealth) -> Value {
    json!({
        "message_type": "segment",
        "segment": segment.segment,
        "state": segment.state,
        "alive": segment.alive,
        "suspect": segment.suspect,
        "lost": segment.lost,
        "k": segment.k,
        "n": segment.n,
        "repair_at": segment.repair_at,
    })
}

fn repair_object(repair: &Repair) -> Value {
    json!({
        "message_type": "repair",
        "segment": repair.segment,
        "state": repair.state,
        "shards": repair.shards,
        "bytes_read": repair.bytes_read,
        "bytes_written": repair.bytes_written,
        "began": repair.began,
        "ended": repair.ended,
    })
}

fn summary_object(repairs: &Repairs) -> Value {
    json!({
        "message_type": "summary",
        "segments": repairs.segments,
        "segments_below_full": repairs.segments_below_full,
        "segments_lost": repairs.segments_lost,
        "full_redundancy": repairs.full_redundancy,
        "shards_repaired": repairs.shards_repaired,
        "bytes_read": repairs.bytes_read,
        "bytes_written": repairs.bytes_written,
        "repairing": repairs.repairing,
        "suspect": repairs.suspect,
        "lost": repairs.segments_lost,
        "trouble": repairs.trouble,
    })
}

fn lines(repairs: &Repairs) -> Vec<String> {
    let mut lines = Vec::new();
    if !repairs.below_full.is_empty() {
        lines.push(format!(
            "{:<58}  {:>7}  {:>6}  {:>4}  {:>7}  state",
            "segment", "shards", "needed", "lost", "suspect"
        ));
    }
    lines.extend(repairs.below_full.iter().map(segment_line));
    let ended = repairs.repairs.iter().filter(|r| r.ended.is_some());
    lines.extend(ended.take(ENDED).map(ended_line));
    lines.push(format!(
        "{} segments: {} below full redundancy, {} being repaired, {} with silent providers, {} that \
         cannot be read now",
        repairs.segments,
        repairs.segments_below_full,
        repairs.repairing,
        repairs.suspect,
        repairs.segments_lost
    ));
    lines.push(format!(
        "{} shards rebuilt so far: {} read, {} written",
        repairs.shards_repaired,
        Bytes(repairs.bytes_read),
        Bytes(repairs.bytes_written)
    ));
    lines.extend(hint(repairs));
    lines
}

fn segment_line(segment: &SegmentHealth) -> String {
    let shards = format!("{}/{}", segment.alive, segment.n);
    format!(
        "{:<58}  {shards:>7}  {:>6}  {:>4}  {:>7}  {}",
        segment.segment,
        segment.k,
        segment.lost,
        segment.suspect,
        word(segment.state)
    )
}

fn ended_line(repair: &Repair) -> String {
    format!(
        "{:<58}  {} shards rebuilt, {} read, {} written",
        repair.segment,
        repair.shards,
        Bytes(repair.bytes_read),
        Bytes(repair.bytes_written)
    )
}

const fn word(state: RepairState) -> &'static str {
    match state {
        RepairState::Lost => "lost",
        RepairState::Waiting => "waiting",
        RepairState::Fetching => "fetching",
        RepairState::Rebuilding => "rebuilding",
        RepairState::Placing => "placing",
        RepairState::Done => "done",
    }
}

/// What to do, if there is something.
fn hint(repairs: &Repairs) -> Option<String> {
    if repairs.segments_lost > 0 {
        let what =
            "hint: bring providers of the lost segments back, or back up what they held anew";
        return Some(what.to_owned());
    }
    if let Some(trouble) = &repairs.trouble {
        return Some(format!("hint: repair waits: {trouble}"));
    }
    (!repairs.full_redundancy)
        .then(|| "hint: leave the node running, it repairs by itself".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_rpc::{Moment, Text};
    use larder_types::{SegmentId, Time};

    fn repairs() -> Repairs {
        let segment = Text(SegmentId([1; 32]));
        Repairs {
            segments: 3,
            segments_below_full: 1,
            segments_lost: 0,
            full_redundancy: false,
            suspect: 1,
            repairing: 1,
            shards_repaired: 5,
            bytes_read: 4 << 20,
            bytes_written: 1 << 20,
            trouble: None,
            below_full: vec![SegmentHealth {
                segment,
                k: 4,
                n: 8,
                repair_at: 6,
                alive: 6,
                suspect: 1,
                lost: 2,
                state: RepairState::Fetching,
            }],
            repairs: vec![Repair {
                segment,
                state: RepairState::Done,
                shards: 2,
                bytes_read: 4,
                bytes_written: 2,
                began: Moment(Time(1)),
                ended: Some(Moment(Time(2))),
            }],
        }
    }

    #[test]
    fn programs_get_each_repair_and_a_summary_last() {
        let objects = objects(&repairs());
        let types: Vec<_> = objects.iter().map(|o| o["message_type"].clone()).collect();
        assert_eq!(types, ["segment", "repair", "summary"]);
        assert_eq!(objects[0]["state"], "fetching");
        assert_eq!(objects[1]["state"], "done");
        let summary = &objects[2];
        assert_eq!(summary["full_redundancy"], false);
        assert_eq!(summary["shards_repaired"], 5);
        assert_eq!(summary["lost"], 0);
    }

    #[test]
    fn people_get_a_hint() {
        let mut repairs = repairs();
        let last = |r: &Repairs| lines(r).pop().unwrap();
        assert!(last(&repairs).contains("leave the node running"));
        repairs.trouble = Some("no provider has room".to_owned());
        assert!(last(&repairs).contains("no provider has room"));
        repairs.segments_lost = 1;
        assert!(last(&repairs).contains("back up what they held anew"));
        repairs = Repairs {
            full_redundancy: true,
            segments_lost: 0,
            trouble: None,
            ..repairs
        };
        assert!(last(&repairs).contains("5 shards rebuilt so far"));
    }
}
