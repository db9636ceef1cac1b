//! The keeper's loss and return: its words go to a file outside its home, it is killed, its whole
//! home is deleted, and `larder recover` makes a new one from the words alone.

use super::network::{LOOK, Network, SETTLE};
use super::plan::Plan;
use crate::cli::{FAILED, Failure};
use larder_rpc::client::all;
use larder_types::Millis;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// How many epochs the recovery may wait for the chain.
const EPOCHS: u32 = 4;
/// The home that is lost, and the one that takes its place.
const LOST: &str = "keeper";
const NEW: &str = "keeper-again";

/// Kills the keeper, deletes its home, and brings it back. Returns once the new keeper lists
/// `snapshot`; whether it is the same account that does.
pub(super) async fn recover(
    net: &mut Network,
    plan: &Plan,
    snapshot: &str,
) -> Result<bool, Failure> {
    let within = patience(plan.epoch);
    let words = net.yard.path("words");
    write_private(&words, net.words.as_bytes())?;
    let account = net.keeper.info.account;
    net.past_keeper = net.keeper.kill()?;
    fs::remove_dir_all(&net.keeper.home)?;
    let line = [
        "--join".as_ref(),
        net.invite.as_ref(),
        "--words-file".as_ref(),
        words.as_os_str(),
    ];
    net.yard.recover(NEW, &line, within).await?;
    net.keeper = net.yard.up(NEW, &[])?.ready().await?;
    until_listed(net, snapshot, within).await?;
    let is_gone = !net.yard.path(LOST).exists();
    Ok(is_gone && net.keeper.info.account == account)
}

/// How long a recovery, and what follows from it, may take.
pub(super) fn patience(epoch: Millis) -> Duration {
    SETTLE + epoch.to_std() * EPOCHS
}

async fn until_listed(net: &mut Network, snapshot: &str, within: Duration) -> Result<(), Failure> {
    let deadline = Instant::now() + within;
    loop {
        let keeper = &net.keeper.client;
        let listed = all(|page| async move {
            let page = larder_rpc::SnapshotsParams {
                all: false,
                cursor: page.cursor,
                limit: page.limit,
            };
            keeper.backup_list_snapshots(&page).await
        })
        .await?;
        if listed.iter().any(|s| s.snapshot == snapshot) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Failure::new(
                FAILED,
                format_args!(
                    "the recovered keeper lists {} snapshots and not {snapshot}",
                    listed.len()
                ),
            ));
        }
        net.check()?;
        tokio::time::sleep(LOOK).await;
    }
}

/// Writes a file that only its owner reads.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn words_are_for_their_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("words");
        write_private(&path, b"abandon").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read(&path).unwrap(), b"abandon");
        assert!(write_private(&path, b"again").is_err());
    }
}
