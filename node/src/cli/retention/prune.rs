//! `larder prune`: the node finds what nothing needs and says what is to be signed; this process signs it
//! with the words, that the segments go and that each provider gives its shards back.

use super::super::args::retention::PruneArgs;
use super::super::connect::Asked;
use super::super::exit::{FAILED, Failure};
use super::super::output::Out;
use super::super::progress::watch;
use super::admin;
use crate::shown::{from_hex, hex};
use larder_backup::{Mark, Say};
use larder_contracts::SignedLeaf;
use larder_keys::Signer;
use larder_ledger::Reduction;
use larder_rpc::{
    Client, Dropping, Empty, JobResult, MarkParams, PruneParams, PruneSummary, ReduceParams,
};
use larder_types::{Bytes, codec};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long providers have to agree before what is left is left to the next prune.
const AGREE: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(300);

pub(super) async fn prune(node: &Client, args: &PruneArgs, out: Out) -> Asked {
    let wanted = PruneParams {
        dry_run: args.dry_run,
        max_unused: Some(args.max_unused),
    };
    let job = node.backup_prune(&wanted).await?.job;
    let JobResult::Prune(found) = watch(node, job, out).await? else {
        return Err(Failure::new(FAILED, "the node did something else"));
    };
    if args.dry_run {
        return say(&found, None, out);
    }
    let standing = node.backup_dropping(&Empty {}).await?;
    let nothing = found.marks.is_empty() && standing == Dropping::default();
    if nothing {
        return say(&found, Some((0, &standing)), out);
    }
    let admin = admin(args.words_file.as_deref(), &found.admin)?;
    if !found.marks.is_empty() {
        let marks = found.marks.iter().map(|mark| sign(mark, &admin, &found));
        let marks = marks.collect::<Result<_, _>>()?;
        node.backup_mark(&MarkParams { marks }).await?;
    }
    let (bytes, standing) = give_back(node, &found, &admin).await?;
    say(&found, Some((bytes, &standing)), out)
}

/// Signs that segments go.
fn sign(mark: &str, admin: &Signer, found: &PruneSummary) -> Result<String, Failure> {
    let wrong = || Failure::new(FAILED, "the node asks for a signature that was not meant");
    let bytes = from_hex(mark).ok_or_else(wrong)?;
    let mark: Mark = codec::decode(&bytes).map_err(|_| wrong())?;
    if !matches!(mark.say, Say::Dropped(_)) {
        return Err(wrong());
    }
    Ok(hex(&codec::encode(&mark.sign(admin, &found.genesis.0))))
}

/// Signs what each provider is to give back, as it can be signed. Gives the bytes of it, and how it stands
/// in the end.
async fn give_back(
    node: &Client,
    found: &PruneSummary,
    admin: &Signer,
) -> Result<(u64, Dropping), Failure> {
    let began = Instant::now();
    let mut bytes = BTreeMap::new();
    loop {
        let mut standing = node.backup_dropping(&Empty {}).await?;
        if !standing.ready.is_empty() {
            let mut reductions = Vec::new();
            for it in &standing.ready {
                let wrong = || Failure::new(FAILED, "the node's revision cannot be read");
                let signed = from_hex(&it.signed).ok_or_else(wrong)?;
                let signed: SignedLeaf = codec::decode(&signed).map_err(|_| wrong())?;
                let genesis = &found.genesis.0;
                let reduction = Reduction::sign(signed, &it.provider.0, admin, genesis);
                reductions.push(hex(&codec::encode(&reduction)));
                bytes.insert(it.provider, it.bytes);
            }
            standing = node.backup_reduce(&ReduceParams { reductions }).await?;
        }
        let settled = standing.ready.is_empty() && standing.waiting == standing.agreed;
        if settled || began.elapsed() >= AGREE {
            return Ok((bytes.values().sum(), standing));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What was done; `None`: what would be.
fn say(found: &PruneSummary, done: Option<(u64, &Dropping)>, out: Out) -> Asked {
    let (given_back, agreed, behind) = match done {
        Some((bytes, standing)) => {
            let left = standing.waiting.saturating_sub(standing.agreed);
            let ready = u32::try_from(standing.ready.len()).unwrap_or(u32::MAX);
            (bytes, standing.agreed, left + ready)
        }
        None => (0, 0, 0),
    };
    out.object(&json!({
        "message_type": "summary",
        "dry_run": done.is_none(),
        "snapshots": found.snapshots,
        "snapshots_locked": found.locked,
        "snapshots_gone": found.gone,
        "segments": found.segments,
        "segments_dropped": found.dead + found.repacked,
        "segments_repacked": found.repacked,
        "bytes_freed": found.bytes_freed,
        "bytes_repacked": found.bytes_repacked,
        "bytes_stored_freed": found.bytes_stored_freed,
        "bytes_unused": found.bytes_unused,
        "bytes_given_back": given_back,
        "providers_agreed": agreed,
        "providers_behind": behind,
        "waits_for": found.waits_for,
    }))?;
    let would = if done.is_some() { "" } else { "would " };
    out.line(format_args!(
        "{} of {} segments {would}go, {} of them written anew ({}): {} that nothing needs, some {} with providers",
        found.dead + found.repacked,
        found.segments,
        found.repacked,
        Bytes(found.bytes_repacked),
        Bytes(found.bytes_freed),
        Bytes(found.bytes_stored_freed),
    ))?;
    if found.locked > 0 {
        out.remark(format_args!(
            "{} forgotten snapshots can still be brought back, and keep what they need",
            found.locked
        ))?;
    }
    for device in &found.waits_for {
        out.line(format_args!(
            "nothing goes before {device} has read of it: start it, or put it out with `larder device \
             revoke`, and run `larder prune` again"
        ))?;
    }
    if done.is_none() {
        return Ok(());
    }
    out.line(format_args!(
        "{agreed} providers give {} up at the end of this epoch",
        Bytes(given_back)
    ))?;
    if behind > 0 {
        out.line(format_args!(
            "{behind} providers have not answered yet: run `larder prune` again later"
        ))?;
    }
    Ok(())
}
