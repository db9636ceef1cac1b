//! `larder schedule`: backups that begin by themselves.

use super::args::{ScheduleCommand, ScheduleSetArgs};
use super::backup::{absolute, report};
use super::connect::{Asked, ask};
use super::exit::{FAILED, Failure, USAGE};
use super::output::Out;
use super::progress::watch;
use larder_rpc::client::all;
use larder_rpc::{Client, JobResult, Schedule, ScheduleParams, SetScheduleParams, Text};
use serde_json::json;
use std::path::Path;

pub(super) fn schedule(home: &Path, command: ScheduleCommand, out: Out) -> Asked {
    match command {
        ScheduleCommand::Set(args) => set(home, *args, out),
        ScheduleCommand::List => ask(home, |node| async move { list(&node, out).await }),
        ScheduleCommand::Remove { name } => ask(home, |node| async move {
            let params = ScheduleParams { name };
            node.backup_remove_schedule(&params).await?;
            out.object(&json!({ "message_type": "summary", "removed": params.name }))?;
            out.line(format_args!("{} is a schedule no more", params.name))
        }),
        ScheduleCommand::Run { name } => ask(home, |node| async move {
            let params = ScheduleParams { name };
            let job = node.backup_run_schedule(&params).await?.job;
            let JobResult::Backup(summary) = watch(&node, job, out).await? else {
                return Err(Failure::new(FAILED, "the node answered with another job"));
            };
            report(&summary, out)
        }),
    }
}

fn set(home: &Path, args: ScheduleSetArgs, out: Out) -> Asked {
    let paths = args.paths.iter().map(absolute);
    let paths = paths.collect::<Result<Vec<String>, _>>()?;
    let given = args.name.is_some();
    let name = args.name.map_or_else(|| named_after(&paths), Ok)?;
    let params = SetScheduleParams {
        name,
        paths,
        drill: None,
        every: args.every.map(Text),
        at: args.at,
        cron: args.cron,
        watch: args.watch,
        quiet: args.settle.map(Text),
        before: args.before,
        after: args.after,
        hook_limit: args.hook_limit.map(Text),
        warn_after: args.warn_after.map(Text),
        class: args.class.map(Text),
        tags: args.tags,
    };
    ask(home, |node| async move {
        let known = schedules(&node).await?.into_iter();
        let other = |s: &Schedule| s.set.name == params.name && s.set.paths != params.paths;
        if let (false, Some(other)) = (given, known.into_iter().find(other)) {
            return Err(Failure::new(
                USAGE,
                format_args!(
                    "there is a schedule {} already, of {}: give this one another name with --name, or \
                     --name {0} to replace that one",
                    params.name,
                    other.set.paths.join(", ")
                ),
            ));
        }
        let set = node.backup_set_schedule(&params).await?;
        object(&set, "summary", out)?;
        out.line(line(&set))
    })
}

/// A schedule is called like the first folder, unless it is named.
fn named_after(paths: &[String]) -> Result<String, Failure> {
    let first = paths.first().map(Path::new).and_then(Path::file_name);
    let name = first.map_or("root".into(), |name| name.to_string_lossy());
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.chars().all(fits) {
        return Ok(name.into_owned());
    }
    Err(Failure::new(
        USAGE,
        format_args!("{name} makes no name for a schedule: give it one with --name"),
    ))
}

async fn schedules(node: &Client) -> Result<Vec<Schedule>, Failure> {
    Ok(all(|page| async move { node.backup_list_schedules(&page).await }).await?)
}

async fn list(node: &Client, out: Out) -> Asked {
    let schedules = schedules(node).await?;
    for schedule in &schedules {
        object(schedule, "schedule", out)?;
        out.line(line(schedule))?;
        if let Some(trouble) = &schedule.trouble {
            out.line(format_args!("  WRONG {trouble}"))?;
        }
    }
    out.object(&json!({ "message_type": "summary", "schedules": schedules.len() }))?;
    match schedules.len() {
        0 => out.remark("no schedule: set one with `larder schedule set PATH --every 24h`"),
        _ => Ok(()),
    }
}

fn object(schedule: &Schedule, message_type: &str, out: Out) -> Asked {
    let set = &schedule.set;
    out.object(&json!({
        "message_type": message_type,
        "name": set.name,
        "paths": set.paths,
        "drill": set.drill,
        "every": set.every,
        "at": set.at,
        "cron": set.cron,
        "watch": set.watch,
        "quiet": set.quiet,
        "before": set.before,
        "after": set.after,
        "hook_limit": set.hook_limit,
        "warn_after": set.warn_after,
        "class": set.class,
        "tags": set.tags,
        "next": schedule.next,
        "job": schedule.job,
        "last_begun": schedule.last_begun,
        "last_good": schedule.last_good,
        "trouble": schedule.trouble,
    }))
}

fn line(schedule: &Schedule) -> String {
    let set = &schedule.set;
    let by_time = match (&set.every, &set.at, &set.cron) {
        (Some(every), _, _) => Some(format!("every {every}")),
        (None, Some(at), _) => Some(format!("at {at}")),
        (None, None, cron) => cron.as_ref().map(|cron| format!("cron {cron}")),
    };
    let on_change = set.watch.then(|| "on change".to_owned());
    let when: Vec<String> = by_time.into_iter().chain(on_change).collect();
    let shown = |time: Option<larder_rpc::Moment>| time.map_or("-".to_owned(), |t| t.to_string());
    format!(
        "{:<12} {}  next {}  last good {}  {}",
        set.name,
        when.join(", "),
        shown(schedule.next),
        shown(schedule.last_good),
        set.drill.as_ref().map_or_else(
            || set.paths.join(" "),
            |drill| format!("a drill of {drill}")
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_called_like_its_first_folder() {
        let of = |path: &str| named_after(&[path.to_owned()]).ok();
        assert_eq!(of("/home/me").as_deref(), Some("me"));
        assert_eq!(of("/").as_deref(), Some("root"));
        assert_eq!(of("/home/a b"), None);
    }
}
