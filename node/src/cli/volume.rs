//! `larder volume`: the places where a provider's shards lie.

use super::args::VolumeCommand;
use super::connect::{Asked, ask};
use super::exit::{FAILED, Failure};
use super::output::Out;
use larder_rpc::client::all;
use larder_rpc::{Client, RemoveVolumeParams, Volume, VolumeParams};
use larder_types::Bytes;
use serde_json::{Value, json};
use std::path::{Path, PathBuf, absolute};
use std::time::Duration;

/// How often a volume that is being emptied is looked at.
const LOOK: Duration = Duration::from_millis(500);

pub(super) fn volume(home: &Path, command: VolumeCommand, out: Out) -> Asked {
    ask(home, |node| async move {
        match command {
            VolumeCommand::List => list(&node, out).await,
            VolumeCommand::Add { path, size } => {
                let params = params(path, size)?;
                tell(&node.provider_add_volume(&params).await?, "summary", out)
            }
            VolumeCommand::Resize { path, size } => {
                let params = params(path, size)?;
                tell(&node.provider_resize_volume(&params).await?, "summary", out)
            }
            VolumeCommand::Remove { path, lost } => remove(&node, &path, lost, out).await,
        }
    })
}

async fn list(node: &Client, out: Out) -> Asked {
    for volume in volumes(node).await? {
        tell(&volume, "volume", out)?;
    }
    Ok(())
}

async fn volumes(node: &Client) -> Result<Vec<Volume>, Failure> {
    Ok(all(|page| async move { node.provider_list_volumes(&page).await }).await?)
}

async fn remove(node: &Client, path: &Path, lost: bool, out: Out) -> Asked {
    let path = text(path)?;
    let params = RemoveVolumeParams {
        path: path.clone(),
        lost,
    };
    let removed = node.provider_remove_volume(&params).await?;
    if removed.emptying {
        emptied(node, &path, removed.shards, out).await?;
    }
    let shards = removed.shards;
    out.object(&json!({
        "message_type": "summary",
        "path": path,
        "lost": lost,
        "shards": shards,
    }))?;
    out.line(if lost {
        format!(
            "{path} is lost: its {shards} shards are declared so, as far as they are paid for, \
             which costs half of their collateral and is no strike"
        )
    } else {
        format!("{path} is let go: its {shards} shards lie on the other volumes")
    })
}

/// Waits until a volume is gone. Interrupted, the node goes on with it.
async fn emptied(node: &Client, path: &str, shards: u64, out: Out) -> Asked {
    let mut left = shards;
    loop {
        let volumes = volumes(node).await?;
        let Some(volume) = volumes.iter().find(|v| v.path == path) else {
            return Ok(());
        };
        if !volume.emptying {
            let why =
                format_args!("{path} could not be emptied; `larder doctor` or its log says why");
            return Err(Failure::new(FAILED, why));
        }
        if volume.shards != left {
            left = volume.shards;
            out.object(&json!({ "message_type": "status", "path": path, "shards_left": left }))?;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn params(path: PathBuf, size: Option<Bytes>) -> Result<VolumeParams, Failure> {
    Ok(VolumeParams {
        path: text(&path)?,
        size: size.map(|size| size.0),
    })
}

/// The path as the node, which has another working directory, understands it.
fn text(path: &Path) -> Result<String, Failure> {
    let path = absolute(path)?;
    let text = path.into_os_string().into_string();
    text.map_err(|_| Failure::new(FAILED, "a volume's path must be UTF-8"))
}

fn tell(volume: &Volume, message: &str, out: Out) -> Asked {
    out.object(&object(volume, message))?;
    let state = match (&volume.trouble, volume.emptying) {
        (Some(why), _) => format!("NOT WELL: {why}"),
        (None, true) => "being emptied".to_owned(),
        (None, false) => "well".to_owned(),
    };
    out.line(format_args!(
        "{}  {} used by {} shards, {} free: {state}",
        volume.path,
        Bytes(volume.used),
        volume.shards,
        Bytes(volume.free)
    ))
}

fn object(volume: &Volume, message: &str) -> Value {
    json!({
        "message_type": message,
        "id": volume.id,
        "path": volume.path,
        "size": volume.size,
        "used": volume.used,
        "free": volume.free,
        "shards": volume.shards,
        "trouble": volume.trouble,
        "emptying": volume.emptying,
    })
}
