//! `larder find`, `diff`, `check` and `stats`: looking through what is kept.

use super::args::{DiffArgs, FindArgs, StatsArgs};
use super::connect::{Asked, ask};
use super::exit::{DAMAGE, FAILED, Failure};
use super::output::Out;
use larder_rpc::client::all;
use larder_rpc::{Client, DiffKind, DiffParams, DomainKind, Empty, FindParams, WhatIfParams};
use larder_types::Bytes;
use serde_json::json;
use std::path::{Path, PathBuf};

fn text(path: Option<PathBuf>) -> Option<String> {
    path.map(|path| path.to_string_lossy().into_owned())
}

pub(super) fn find(home: &Path, args: FindArgs, out: Out) -> Asked {
    let (pattern, snapshot, path) = (&args.pattern, &args.snapshot, &text(args.path));
    ask(home, |node| async move {
        let node = &node;
        let found = all(|page| async move {
            node.backup_find(&FindParams {
                pattern: pattern.clone(),
                snapshot: snapshot.clone(),
                path: path.clone(),
                cursor: page.cursor,
                limit: page.limit,
            })
            .await
        });
        for it in found.await? {
            out.object(&json!({
                "message_type": "entry",
                "snapshot": it.snapshot,
                "path": it.entry.path,
                "kind": it.entry.kind,
                "size": it.entry.size,
                "modified": it.entry.modified,
            }))?;
            let short = it.snapshot.get(..12).unwrap_or(&it.snapshot);
            let (size, modified) = (it.entry.size, it.entry.modified);
            out.line(format_args!(
                "{short}  {size:>12} {modified}  {}",
                it.entry.path
            ))?;
        }
        Ok(())
    })
}

pub(super) fn diff(home: &Path, args: DiffArgs, out: Out) -> Asked {
    let (from, to, path) = (&args.from, &args.to, &text(args.path));
    ask(home, |node| async move {
        let node = &node;
        let differences = all(|page| async move {
            node.backup_diff(&DiffParams {
                from: from.clone(),
                to: to.clone(),
                path: path.clone(),
                cursor: page.cursor,
                limit: page.limit,
            })
            .await
        });
        for it in differences.await? {
            out.object(&json!({
                "message_type": "difference",
                "change": it.change,
                "path": it.entry.path,
                "kind": it.entry.kind,
                "size": it.entry.size,
            }))?;
            let mark = match it.change {
                DiffKind::Added => '+',
                DiffKind::Removed => '-',
                DiffKind::Modified => 'M',
                DiffKind::Metadata => 'U',
            };
            out.line(format_args!("{mark}  {}", it.entry.path))?;
        }
        Ok(())
    })
}

pub(super) fn check(home: &Path, out: Out) -> Asked {
    ask(home, |node| async move {
        let it = node.backup_check(&Empty {}).await?;
        out.object(&json!({
            "message_type": "summary",
            "snapshots": it.snapshots,
            "segments": it.segments,
            "restorable": it.restorable,
            "below_full": it.below_full,
            "missing": it.missing,
            "ok": it.ok,
        }))?;
        out.line(format_args!(
            "{} of {} segments of {} snapshots can be brought back, {} have fewer shards than they should",
            it.restorable, it.segments, it.snapshots, it.below_full
        ))?;
        for segment in &it.missing {
            out.line(format_args!("MISSING {segment}"))?;
        }
        if it.ok {
            Ok(())
        } else {
            Err(Failure::silent(DAMAGE))
        }
    })
}

pub(super) fn stats(home: &Path, args: StatsArgs, out: Out) -> Asked {
    ask(home, |node| async move {
        if !args.what_if.is_empty() {
            return what_if(&node, args.what_if, out).await;
        }
        kept(&node, out).await?;
        let it = node.backup_durability(&Empty {}).await?;
        for group in &it.groups {
            out.object(&json!({
                "message_type": "group",
                "class": group.class,
                "k": group.k,
                "n": group.n,
                "repair_at": group.repair_at,
                "segments": group.segments,
                "bytes_stored": group.bytes,
                "least_alive": group.least_alive,
                "annual_loss": group.annual_loss,
                "class_met": group.class_met,
            }))?;
            let met = if group.class_met {
                ""
            } else {
                ", more than the class allows"
            };
            out.line(format_args!(
                "{:<9} {} of {}: {} segments, {} stored, at least {} shards each; a segment is lost in a \
                 year with probability {:.1e}{met}",
                group.class,
                group.k,
                group.n,
                group.segments,
                Bytes(group.bytes),
                group.least_alive,
                group.annual_loss
            ))?;
        }
        for domain in &it.domains {
            out.object(&json!({
                "message_type": "domain",
                "kind": domain.kind,
                "name": domain.name,
                "touched": domain.touched,
                "lost": domain.lost,
            }))?;
            let kind = match domain.kind {
                DomainKind::Operator => "operator",
                DomainKind::Provider => "provider",
                DomainKind::Region => "region",
            };
            out.line(format_args!(
                "without {kind} {}: {} segments lose shards, {} are lost",
                domain.name, domain.touched, domain.lost
            ))?;
        }
        let lost = it.domains.iter().map(|d| d.lost).max().unwrap_or(0);
        out.object(&json!({ "message_type": "summary", "worst_domain_loses": lost }))
    })
}

/// How much is kept.
async fn kept(node: &Client, out: Out) -> Asked {
    let it = node.backup_stats(&Empty {}).await?;
    out.object(&json!({
        "message_type": "kept",
        "snapshots": it.snapshots,
        "files": it.files,
        "bytes": it.bytes,
        "blobs": it.blobs,
        "bytes_unique": it.bytes_unique,
        "segments": it.segments,
        "bytes_sealed": it.bytes_sealed,
        "bytes_stored": it.bytes_stored,
    }))?;
    out.line(format_args!(
        "{} snapshots of {} files, {}; {} of that is not the same, {} sealed in {} segments, {} stored \
         with providers",
        it.snapshots,
        it.files,
        Bytes(it.bytes),
        Bytes(it.bytes_unique),
        Bytes(it.bytes_sealed),
        it.segments,
        Bytes(it.bytes_stored)
    ))
}

/// What would be left without some.
async fn what_if(node: &Client, lose: Vec<String>, out: Out) -> Asked {
    let names = lose.join(", ");
    let it = node.backup_what_if(&WhatIfParams { lose }).await?;
    if it.providers == 0 {
        return Err(Failure::new(
            FAILED,
            format_args!(
                "nothing of yours lies with {names}: `larder stats` names the operators and regions that \
                 hold something, `larder contracts` the providers"
            ),
        ));
    }
    let mut lost = 0;
    for class in &it.classes {
        lost += class.lost;
        out.object(&json!({
            "message_type": "class",
            "class": class.class,
            "segments": class.segments,
            "touched": class.touched,
            "below_repair": class.below_repair,
            "lost": class.lost,
            "least_spare": class.least_spare,
        }))?;
        out.line(format_args!(
            "{:<9} {} of {} segments lose shards, {} fall so low that they are repaired, {} are lost; the \
             others keep at least {} shards more than they need",
            class.class,
            class.touched,
            class.segments,
            class.below_repair,
            class.lost,
            class.least_spare
        ))?;
    }
    out.object(&json!({
        "message_type": "summary",
        "providers": it.providers,
        "lost": lost,
        "survives": lost == 0,
    }))?;
    let word = if lost == 0 {
        "everything survives"
    } else {
        "NOT everything survives"
    };
    out.line(format_args!(
        "without {names} ({} providers) {word}",
        it.providers
    ))
}
