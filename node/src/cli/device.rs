//! `larder device`: the account's devices. To put one out takes the words; they stay in this process.

use super::args::DeviceCommand;
use super::connect::{Asked, ask};
use super::exit::{FAILED, Failure, USAGE, WRONG_WORDS};
use super::output::Out;
use super::words;
use crate::home::now;
use crate::shown::{from_hex, hex};
use larder_engine::head::{DeviceId, Revocation};
use larder_ledger::{Revoke, Tx};
use larder_rpc::{
    Client, DeviceList, DeviceShown, DeviceStanding, Empty, RevokeDeviceParams, SubmitParams,
};
use larder_types::codec;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Digits of a key that tell devices apart for people.
const SHORT: usize = 14;

pub(super) fn run(home: &Path, command: DeviceCommand, out: Out) -> Asked {
    ask(home, |node| async move {
        match command {
            DeviceCommand::List => list(&node.device_list(&Empty {}).await?, out),
            DeviceCommand::Revoke { device, words_file } => {
                revoke(&node, &device, words_file, out).await
            }
        }
    })
}

fn list(all: &DeviceList, out: Out) -> Asked {
    for it in &all.devices {
        let mut object = serde_json::to_value(it).map_err(std::io::Error::from)?;
        object["message_type"] = "device".into();
        out.object(&object)?;
        let state = match it.state {
            DeviceStanding::Alive => "",
            DeviceStanding::Doubted => ", has not shown itself since the words came back",
            DeviceStanding::Lost => ", taken for lost",
            DeviceStanding::Revoked => ", revoked",
        };
        let this = if it.this { " (this one)" } else { "" };
        let forked = if it.forked { ", used by two homes" } else { "" };
        let time = it
            .head_time
            .map_or_else(String::new, |t| format!(" of {t}"));
        let until = it
            .until
            .map_or_else(String::new, |t| format!(", certified until {t}"));
        out.line(format_args!(
            "{:<16} {}  head {}{time}, has read ours up to {}{until}{state}{forked}{this}",
            it.name,
            short(&it.device),
            it.head,
            it.acknowledged,
        ))?;
    }
    Ok(())
}

/// The one that a name or the beginning of a key means.
fn named<'a>(all: &'a DeviceList, name: &str) -> Result<&'a DeviceShown, Failure> {
    let key = name.strip_prefix("0x").unwrap_or(name);
    let means = |it: &&DeviceShown| {
        let is_key = key.len() >= 4 && it.device[2..].starts_with(key);
        !it.this && (it.name == name || is_key)
    };
    let mut found = all.devices.iter().filter(means);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(Failure::new(
            USAGE,
            format_args!("no other device {name:?}: `larder device list` shows which there are"),
        )),
        (Some(_), Some(_)) => Err(Failure::new(
            USAGE,
            format_args!("{name:?} means several devices: give more of the key"),
        )),
    }
}

async fn revoke(node: &Client, name: &str, words_file: Option<PathBuf>, out: Out) -> Asked {
    let all = node.device_list(&Empty {}).await?;
    let it = named(&all, name)?;
    let wrong = || Failure::new(FAILED, "the node names a device by no key");
    let device = from_hex(&it.device).and_then(|b| <[u8; 32]>::try_from(b).ok());
    let device = DeviceId(device.ok_or_else(wrong)?);
    let admin = words::given(words_file.as_deref())?.admin();
    if hex(&admin.public()) != all.admin {
        let why = "these are the words of another account; use the words of this home";
        return Err(Failure::new(WRONG_WORDS, why));
    }
    let (account, genesis) = (all.account.0, all.genesis.0);
    let revocation = Revocation::sign(&account, &admin, (device, it.head), &genesis);
    let params = RevokeDeviceParams {
        revocation: hex(&codec::encode(&revocation)),
    };
    node.device_revoke(&params).await?;
    // Its heads count for nothing now; that it spends nothing either, the ledger has to hear.
    let ledger = match it.subkey {
        Some(subkey) => {
            let revoke = Revoke::sign(account, &admin, subkey.0, now(), &genesis);
            let tx = hex(&codec::encode(&Tx::Revoke(revoke)));
            Some(node.tx_submit(&SubmitParams { tx }).await?)
        }
        None => None,
    };
    out.object(&json!({
        "message_type": "summary",
        "device": it.device,
        "name": it.name,
        "head": it.head,
        "tx": ledger.as_ref().map(|sent| sent.tx),
        "status": ledger.as_ref().map(|sent| sent.status),
    }))?;
    out.line(format_args!(
        "{} ({}) is out: what it wrote after head {} counts for nothing, what it stored stays",
        it.name,
        short(&it.device),
        it.head
    ))
}

fn short(key: &str) -> &str {
    key.get(..SHORT).unwrap_or(key)
}
