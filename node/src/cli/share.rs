//! `larder share`, `shares`, `unshare` and `shared`: folders for other people.

use super::args::{ShareArgs, ShareCommand, ShareVerb, SharedCommand, UnlockArgs};
use super::backup::absolute;
use super::connect::{Asked, ask, require_home};
use super::exit::{FAILED, Failure, USAGE, WRONG_WORDS};
use super::listing::split;
use super::output::Out;
use super::progress::watch;
use super::{restore, words};
use crate::home::{HomeError, Safe, give_sharing, now, read_sharing_cert};
use crate::sharing::address::to_text;
use larder_rpc::client::all;
use larder_rpc::{
    JobResult, Moment, OpenParams, ReceivedShare, RefreshParams, Share, ShareMade, ShareName,
    ShareParams,
};
use larder_types::Bytes;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Bytes of a file's name that come from the share's.
const NAME: usize = 100;

pub(super) fn verb(home: &Path, verb: ShareVerb, out: Out) -> Asked {
    match verb {
        ShareVerb::Share(args) => match args.command {
            Some(ShareCommand::Refresh { id, file }) => refresh(home, id, file, out),
            None => share(home, args, out),
        },
        ShareVerb::Shares => shares(home, out),
        ShareVerb::Unshare { id } => unshare(home, id, out),
        ShareVerb::Shared { command } => match command {
            None | Some(SharedCommand::List) => shared(home, out),
            Some(SharedCommand::Address { words_file, unlock }) => {
                address(home, (words_file.as_deref(), &unlock), out)
            }
            Some(SharedCommand::Open { what, target }) => open(home, &what, target, out),
        },
    }
}

fn share(home: &Path, args: ShareArgs, out: Out) -> Asked {
    let what = args.what.unwrap_or_default();
    let (snapshot, Some(path)) = split(&what) else {
        let why = "name what to share as SNAPSHOT:/PATH, for example latest:/home/me/album";
        return Err(Failure::new(USAGE, why));
    };
    let last = Path::new(&path).file_name();
    let last = last.map(|name| name.to_string_lossy().into_owned());
    let called = args.name.clone().or(last).unwrap_or_default();
    let params = ShareParams {
        snapshot,
        path,
        to: args.to.unwrap_or_default(),
        file: absolute(&args.file.unwrap_or_else(|| file_of(&called)))?,
        name: args.name,
        expires: Some(Moment(now().after(args.expires))),
    };
    ask(home, |node| async move {
        let made = node.share_create(&params).await?;
        written(&made, out)
    })
}

/// `NAME.larder-share`, of letters that every system takes.
fn file_of(name: &str) -> PathBuf {
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
    let mut plain: String = name
        .chars()
        .map(|c| if fine(c) { c } else { '_' })
        .collect();
    while plain.len() > NAME {
        plain.pop();
    }
    let plain = plain.trim_start_matches('.').trim();
    let plain = if plain.is_empty() { "share" } else { plain };
    PathBuf::from(format!("{plain}.larder-share"))
}

fn refresh(home: &Path, id: String, file: Option<PathBuf>, out: Out) -> Asked {
    ask(home, |node| async move {
        let file = match file {
            Some(file) => file,
            None => {
                let shares = all(|page| {
                    let node = &node;
                    async move { node.share_list(&page).await }
                });
                let shares = shares.await?;
                let known = shares.iter().find(|share| share.share.starts_with(&id));
                file_of(known.map_or("", |share| &share.name))
            }
        };
        let params = RefreshParams {
            share: id,
            file: absolute(&file)?,
        };
        let made = node.share_refresh(&params).await?;
        written(&made, out)
    })
}

fn written(made: &ShareMade, out: Out) -> Asked {
    let share = &made.share;
    let mut object = fields(share, "summary");
    object["file"] = json!(made.file);
    object["file_bytes"] = json!(made.file_bytes);
    out.object(&object)?;
    out.line(format_args!("share     {}  {}", share.share, share.name))?;
    out.line(format_args!(
        "file      {} ({})",
        made.file,
        Bytes(made.file_bytes)
    ))?;
    out.remark(format_args!(
        "holds     {} in {} files and {} folders, until {}",
        Bytes(share.bytes),
        share.files,
        share.dirs,
        share.expires
    ))?;
    out.remark("Hand the file over in any way: it opens for that person alone, who runs")?;
    out.remark("  larder shared open FILE --target DIR")
}

fn fields(share: &Share, message_type: &str) -> Value {
    json!({
        "message_type": message_type,
        "share": share.share,
        "name": share.name,
        "to": share.to,
        "snapshot": share.snapshot,
        "path": share.path,
        "created": share.created,
        "expires": share.expires,
        "revoked": share.revoked,
        "files": share.files,
        "dirs": share.dirs,
        "bytes": share.bytes,
        "segments": share.segments,
        "segments_moved": share.segments_moved,
    })
}

fn shares(home: &Path, out: Out) -> Asked {
    ask(home, |node| async move {
        let shares = all(|page| {
            let node = &node;
            async move { node.share_list(&page).await }
        });
        for share in shares.await? {
            out.object(&fields(&share, "share"))?;
            let state = match share.revoked {
                Some(when) => format!("taken back {when}"),
                None if share.expires.0 < now() => format!("ended {}", share.expires),
                None if share.segments_moved > 0 => format!(
                    "until {}; {} of {} segments moved: `larder share refresh {}` writes its file anew",
                    share.expires,
                    share.segments_moved,
                    share.segments,
                    share.share.get(..8).unwrap_or(&share.share)
                ),
                None => format!("until {}", share.expires),
            };
            out.line(format_args!(
                "{}  {}  {:>10}  to {}  {state}",
                share.share,
                share.name,
                Bytes(share.bytes).to_string(),
                share.to
            ))?;
        }
        Ok(())
    })
}

fn unshare(home: &Path, id: String, out: Out) -> Asked {
    ask(home, |node| async move {
        let end = node.share_revoke(&ShareName { share: id }).await?;
        let mut object = fields(&end.share, "summary");
        object["told"] = json!(end.told);
        object["untold"] = json!(end.untold);
        object["contracts_ended"] = json!(end.contracts_ended);
        out.object(&object)?;
        let all = end.told.len() + end.untold.len();
        out.line(format_args!(
            "{} is taken back; {} of {all} providers know it and serve it no more",
            end.share.name,
            end.told.len()
        ))?;
        for node in &end.untold {
            out.line(format_args!(
                "  {node} has not answered, and serves it until it has; this node goes on telling it"
            ))?;
        }
        out.remark("What was fetched already stays with its recipient.")
    })
}

fn address(home: &Path, (words_file, unlock): (Option<&Path>, &UnlockArgs), out: Out) -> Asked {
    require_home(home)?;
    let cert = match words_file {
        Some(file) => {
            let seed = words::seed(&words::read(file)?)?;
            let passphrase = words::of_home(home, unlock)?;
            let safe = Safe::open(home, words::shown(passphrase.as_ref())).map_err(of_home)?;
            Some(give_sharing(home, &safe, &seed).map_err(of_home)?)
        }
        None => read_sharing_cert(home).map_err(of_home)?,
    };
    let cert = cert.ok_or_else(|| {
        let why =
            "this home is older than shares: run `larder shared address --words-file FILE` once";
        Failure::new(WRONG_WORDS, why)
    })?;
    let address = to_text(&cert);
    out.object(&json!({
        "message_type": "summary",
        "account": cert.account.to_string(),
        "address": address,
    }))?;
    out.line(address)
}

fn of_home(error: HomeError) -> Failure {
    Failure::new(error.exit_code(), error)
}

fn shared(home: &Path, out: Out) -> Asked {
    ask(home, |node| async move {
        let received = all(|page| {
            let node = &node;
            async move { node.share_received(&page).await }
        });
        for share in received.await? {
            show(&share, "share", out)?;
        }
        Ok(())
    })
}

fn show(share: &ReceivedShare, message_type: &str, out: Out) -> Asked {
    out.object(&json!({
        "message_type": message_type,
        "share": share.share,
        "name": share.name,
        "from": share.from,
        "created": share.created,
        "expires": share.expires,
        "received": share.received,
        "files": share.files,
        "dirs": share.dirs,
        "bytes": share.bytes,
    }))?;
    let end = match share.expires.0 < now() {
        true => "ended",
        false => "until",
    };
    out.line(format_args!(
        "{}  {}  {:>10}  from {}  {end} {}",
        share.share,
        share.name,
        Bytes(share.bytes).to_string(),
        share.from,
        share.expires
    ))
}

fn open(home: &Path, what: &PathBuf, target: Option<PathBuf>, out: Out) -> Asked {
    let is_file = what.exists();
    let params = OpenParams {
        file: is_file.then(|| absolute(what)).transpose()?,
        share: (!is_file).then(|| what.to_string_lossy().into_owned()),
        target: target.as_ref().map(absolute).transpose()?,
    };
    ask(home, |node| async move {
        let opened = node.share_open(&params).await?;
        let Some(job) = opened.job else {
            show(&opened.share, "summary", out)?;
            return out.remark(format_args!(
                "kept; `larder shared open {} --target DIR` fetches it",
                opened.share.share.get(..8).unwrap_or_default()
            ));
        };
        let JobResult::Restore(summary) = watch(&node, job, out).await? else {
            return Err(Failure::new(FAILED, "the node answered with another job"));
        };
        restore::report(&summary, out)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_after_its_share_and_lies_here() {
        let named = |name: &str| file_of(name).to_string_lossy().into_owned();
        assert_eq!(named("Album 2026"), "Album 2026.larder-share");
        assert_eq!(named("../../etc/passwd"), "_.._etc_passwd.larder-share");
        assert_eq!(named("Fête"), "Fête.larder-share");
        assert_eq!(named(""), "share.larder-share");
        assert!(named(&"ä".repeat(300)).len() < 120);
    }
}
