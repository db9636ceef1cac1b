//! `larder forget`, `undelete`, `tag`: what is kept. The node says what is to be marked, this process asks for
//! the words and signs, the node stores what was signed: the words and the admin key never leave it.

use super::args::retention::{ForgetArgs, PruneArgs, RetentionCommand, TagArgs, UndeleteArgs};
use super::connect::{Asked, ask};
use super::exit::{FAILED, Failure, WRONG_WORDS};
use super::output::Out;
use super::words;
use crate::shown::{from_hex, hex};
use larder_backup::{Mark, Say};
use larder_keys::Signer;
use larder_rpc::{
    Client, ForgetParams, KeepRules, MarkParams, MarkPlan, Marked, TagParams, UndeleteParams,
};
use larder_types::codec;
use serde_json::json;
use std::path::Path;

mod prune;

pub(super) fn retention(home: &Path, command: RetentionCommand, out: Out) -> Asked {
    ask(home, |node| async move {
        match command {
            RetentionCommand::Forget(args) => forget(&node, args, out).await,
            RetentionCommand::Prune(args) => prune::prune(&node, &args, out).await,
            RetentionCommand::Undelete(args) => undelete(&node, args, out).await,
            RetentionCommand::Tag(args) => tag(&node, args, out).await,
        }
    })
}

async fn forget(node: &Client, args: ForgetArgs, out: Out) -> Asked {
    let keep = args.keep;
    let rules = KeepRules {
        last: keep.keep_last,
        hourly: keep.keep_hourly,
        daily: keep.keep_daily,
        weekly: keep.keep_weekly,
        monthly: keep.keep_monthly,
        yearly: keep.keep_yearly,
        within_ms: keep.keep_within.map(|within| within.0),
        tags: keep.keep_tags,
    };
    let wanted = ForgetParams {
        keep: args.snapshots.is_empty().then_some(rules),
        snapshots: args.snapshots,
        group_by: Some(args.group_by.iter().filter_map(|g| g.by()).collect()),
        path: args.path.map(|p| p.to_string_lossy().into_owned()),
        lock_ms: args.lock.map(|lock| lock.0),
    };
    let plan = node.backup_forget(&wanted).await?;
    for kept in &plan.kept {
        out.object(&json!({
            "message_type": "kept",
            "snapshot": kept.snapshot,
            "time": kept.time,
            "reasons": kept.reasons,
        }))?;
        let (id, why) = (short(&kept.snapshot), kept.reasons.join(", "));
        out.line(format_args!("keep    {id}  {}  {why}", kept.time))?;
    }
    list(&plan, "forget", out)?;
    let is_forget = |say: &Say| matches!(say, Say::Forget { .. });
    let marked = if args.dry_run {
        None
    } else {
        mark(node, &plan, is_forget, args.words_file.as_deref()).await?
    };
    let n = plan.marks.len();
    summary("forgotten", &plan, marked, out)?;
    if args.dry_run {
        out.line(format_args!("{n} snapshots would be forgotten"))
    } else {
        out.line(format_args!(
            "{n} snapshots are forgotten; `larder undelete` brings them back while their delay lasts"
        ))?;
        if !args.prune {
            return Ok(());
        }
        let then = PruneArgs {
            max_unused: 10,
            dry_run: false,
            words_file: args.words_file,
        };
        prune::prune(node, &then, out).await
    }
}

async fn undelete(node: &Client, args: UndeleteArgs, out: Out) -> Asked {
    let wanted = UndeleteParams {
        snapshots: args.snapshots,
        all: args.all,
    };
    let plan = node.backup_undelete(&wanted).await?;
    list(&plan, "undelete", out)?;
    let is_undelete = |say: &Say| *say == Say::Undelete;
    let marked = mark(node, &plan, is_undelete, args.words_file.as_deref()).await?;
    summary("undeleted", &plan, marked, out)?;
    out.line(format_args!("{} snapshots are back", plan.marks.len()))
}

async fn tag(node: &Client, args: TagArgs, out: Out) -> Asked {
    let wanted = TagParams {
        snapshots: args.snapshots,
        add: args.add,
        remove: args.remove,
    };
    let plan = node.backup_tag(&wanted).await?;
    list(&plan, "tag", out)?;
    let is_tags = |say: &Say| matches!(say, Say::Tags(_));
    let marked = mark(node, &plan, is_tags, args.words_file.as_deref()).await?;
    summary("tagged", &plan, marked, out)?;
    out.line(format_args!(
        "{} snapshots have other tags",
        plan.marks.len()
    ))
}

fn list(plan: &MarkPlan, what: &str, out: Out) -> Asked {
    for it in &plan.marks {
        out.object(&json!({
            "message_type": what,
            "snapshot": it.snapshot,
            "time": it.time,
            "tags": it.tags,
        }))?;
        let (id, tags) = (short(&it.snapshot), it.tags.join(" "));
        out.line(format_args!("{what:<8}{id}  {}  {tags}", it.time))?;
    }
    Ok(())
}

fn summary(what: &str, plan: &MarkPlan, marked: Option<Marked>, out: Out) -> Asked {
    out.object(&json!({
        "message_type": "summary",
        what: if marked.is_some() { plan.marks.len() } else { 0 },
        "would_be": plan.marks.len(),
        "kept": plan.kept.len(),
        "head_holders": marked.map(|m| m.head_holders),
        "head_wanted": marked.map(|m| m.head_wanted),
    }))
}

/// Signs what the plan asks for, each mark only if it says what the verb means; nothing if there is none.
async fn mark(
    node: &Client,
    plan: &MarkPlan,
    is_meant: impl Fn(&Say) -> bool,
    words_file: Option<&Path>,
) -> Result<Option<Marked>, Failure> {
    if plan.marks.is_empty() {
        return Ok(None);
    }
    let wrong = || Failure::new(FAILED, "the node asks for a signature that was not meant");
    let mut unsigned = Vec::new();
    for it in &plan.marks {
        let bytes = from_hex(&it.mark).ok_or_else(wrong)?;
        let mark: Mark = codec::decode(&bytes).map_err(|_| wrong())?;
        if !is_meant(&mark.say) || mark.snapshot.to_string() != it.snapshot {
            return Err(wrong());
        }
        unsigned.push(mark);
    }
    let admin = admin(words_file, &plan.admin)?;
    let signed = unsigned
        .into_iter()
        .map(|mark| hex(&codec::encode(&mark.sign(&admin, &plan.genesis.0))));
    let params = MarkParams {
        marks: signed.collect(),
    };
    Ok(Some(node.backup_mark(&params).await?))
}

/// The admin key, if the words are those of the node's account.
fn admin(words_file: Option<&Path>, wanted: &str) -> Result<Signer, Failure> {
    let admin = words::given(words_file)?.admin();
    if hex(&admin.public()) == wanted {
        return Ok(admin);
    }
    Err(Failure::new(
        WRONG_WORDS,
        "these are the words of another account; use the words of this home",
    ))
}

/// Enough of an id to tell snapshots apart.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
