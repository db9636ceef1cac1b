//! `larder check --read-data`, `repair` and `drill`: whether what is stored is what was stored, whether
//! it comes back, and what mends it.

use super::args::{DrillArgs, DrillCommand};
use super::connect::{Asked, ask};
use super::exit::{DAMAGE, FAILED, Failure, IN_PART};
use super::output::Out;
use super::progress::watch;
use larder_rpc::client::all;
use larder_rpc::{
    CheckDataParams, CheckSummary, Drill, DrillParams, DrillSummary, Empty, JobResult,
    RepairSummary, SetScheduleParams, Text,
};
use larder_types::Bytes;
use serde_json::json;
use std::path::Path;

/// What the schedule of drills is called.
const SCHEDULE: &str = "drill";

fn another_job() -> Failure {
    Failure::new(FAILED, "the node answered with another job")
}

pub(super) fn read_data(home: &Path, subset: Option<String>, out: Out) -> Asked {
    ask(home, |node| async move {
        let job = node
            .backup_check_data(&CheckDataParams { subset })
            .await?
            .job;
        let JobResult::Check(summary) = watch(&node, job, out).await? else {
            return Err(another_job());
        };
        checked(&summary, out)
    })
}

fn checked(it: &CheckSummary, out: Out) -> Asked {
    for failure in &it.failures {
        out.trouble(&failure.path, &failure.reason);
    }
    out.object(&json!({
        "message_type": "summary",
        "segments": it.segments,
        "segments_read": it.segments_read,
        "bytes_read": it.bytes_read,
        "blobs": it.blobs,
        "damaged_shards": it.damaged_shards,
        "unread_shards": it.unread_shards,
        "damaged": it.damaged,
        "errors": it.errors,
        "ok": it.ok,
        "seconds": it.seconds,
    }))?;
    out.remark(format_args!(
        "read {} in {} of {} segments, {} blobs opened, {} shards damaged, {} out of reach, {:.1} s",
        Bytes(it.bytes_read),
        it.segments_read,
        it.segments,
        it.blobs,
        it.damaged_shards,
        it.unread_shards,
        it.seconds
    ))?;
    for segment in &it.damaged {
        let state = if segment.lost { "LOST" } else { "DAMAGED" };
        out.line(format_args!(
            "{state} {}: {}",
            segment.segment, segment.reason
        ))?;
    }
    let lost = it.damaged.iter().filter(|segment| segment.lost).count();
    if !it.ok {
        let mend = match lost {
            0 => "mend it with `larder repair`",
            _ => {
                "mend what can be mended with `larder repair`; `larder backup` of the same paths \
                 stores again what is lost, as far as it is there; then `larder prune` lets go of it"
            }
        };
        return Err(Failure::new(
            DAMAGE,
            format_args!(
                "{} files and folders lie in damaged segments: {mend}",
                it.errors
            ),
        ));
    }
    if it.unread_shards > 0 {
        return Err(Failure::new(
            IN_PART,
            format_args!(
                "{} shards or more could not be reached and were not checked: check again when their \
                 providers are there (`larder repairs`)",
                it.unread_shards
            ),
        ));
    }
    Ok(())
}

pub(super) fn repair(home: &Path, out: Out) -> Asked {
    ask(home, |node| async move {
        let job = node.backup_repair(&Empty {}).await?.job;
        let JobResult::Repair(summary) = watch(&node, job, out).await? else {
            return Err(another_job());
        };
        repaired(&summary, out)
    })
}

fn repaired(it: &RepairSummary, out: Out) -> Asked {
    out.object(&json!({
        "message_type": "summary",
        "below_full": it.below_full,
        "remaining": it.remaining,
        "lost": it.lost,
        "shards": it.shards,
        "trouble": it.trouble,
        "seconds": it.seconds,
    }))?;
    out.remark(format_args!(
        "{} segments lacked shards, {} were placed anew, {} segments lack some still, {:.1} s",
        it.below_full, it.shards, it.remaining, it.seconds
    ))?;
    if it.remaining == 0 {
        return Ok(());
    }
    let why = it
        .trouble
        .as_ref()
        .map_or(String::new(), |why| format!(" ({why})"));
    Err(Failure::new(
        DAMAGE,
        format_args!(
            "{} segments lack shards still, {} of them are lost{why}: the node goes on by itself, \
             `larder repairs` says how far it is",
            it.remaining, it.lost
        ),
    ))
}

pub(super) fn drill(home: &Path, args: DrillArgs, out: Out) -> Asked {
    let DrillArgs {
        command,
        snapshot,
        sample,
        every,
    } = args;
    ask(home, |node| async move {
        let node = &node;
        if let Some(DrillCommand::List) = command {
            let drills = all(|page| async move { node.backup_list_drills(&page).await }).await?;
            for drill in &drills {
                object(drill, "drill", out)?;
                out.line(line(drill))?;
            }
            out.object(&json!({ "message_type": "summary", "drills": drills.len() }))?;
            return match drills.len() {
                0 => out.remark("no drill yet: run one with `larder drill`"),
                _ => Ok(()),
            };
        }
        if let Some(every) = every {
            let params = SetScheduleParams {
                name: SCHEDULE.to_owned(),
                drill: Some(sample.unwrap_or_else(|| "1%".to_owned())),
                every: Some(Text(every)),
                ..SetScheduleParams::default()
            };
            let set = node.backup_set_schedule(&params).await?;
            out.object(&json!({
                "message_type": "summary",
                "name": set.set.name,
                "every": set.set.every,
                "drill": set.set.drill,
                "next": set.next,
            }))?;
            return out.line(format_args!(
                "a drill every {every}; `larder schedule list` says when the next one is due"
            ));
        }
        let params = DrillParams { snapshot, sample };
        let job = node.backup_drill(&params).await?.job;
        let JobResult::Drill(summary) = watch(node, job, out).await? else {
            return Err(another_job());
        };
        drilled(&summary, out)
    })
}

fn object(drill: &Drill, message_type: &str, out: Out) -> Asked {
    out.object(&json!({
        "message_type": message_type,
        "time": drill.time,
        "snapshot": drill.snapshot,
        "files": drill.files,
        "bytes": drill.bytes,
        "failures": drill.failures,
        "device": drill.device,
        "signature": drill.signature,
        "valid": drill.valid,
    }))
}

fn line(drill: &Drill) -> String {
    let short = drill.snapshot.get(..12).unwrap_or(&drill.snapshot);
    let good = match (drill.valid, drill.failures) {
        (false, _) => "NOT SIGNED BY THIS DEVICE".to_owned(),
        (true, 0) => "all as they were".to_owned(),
        (true, failures) => format!("{failures} FAILED"),
    };
    format!(
        "{}  {short}  {} files, {}: {good}",
        drill.time,
        drill.files,
        Bytes(drill.bytes)
    )
}

fn drilled(it: &DrillSummary, out: Out) -> Asked {
    for failure in &it.failures {
        out.trouble(&failure.path, &failure.reason);
    }
    object(&it.drill, "summary", out)?;
    out.remark(line(&it.drill))?;
    match it.drill.failures {
        0 => Ok(()),
        failures => Err(Failure::new(
            DAMAGE,
            format_args!(
                "{failures} of {} files did not come back as they were: find out what is damaged with \
                 `larder check --read-data`, and mend it with `larder repair`",
                it.drill.files
            ),
        )),
    }
}
