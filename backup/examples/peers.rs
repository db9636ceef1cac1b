//! One step of `benches/peers.sh`: a backup to sealed segments in a folder, or a restore from
//! them, without coding and network. `peers backup REPO PATH` | `peers restore REPO TARGET`.

use anyhow::{Context, bail};
use larder_backup::{BackupOptions, LocalSegments, Progress, RestoreOptions, Vault};
use larder_keys::VaultKeys;
use larder_types::Time;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args_os().skip(1);
    let mut arg = |what| args.next().with_context(|| format!("{what} is missing"));
    let verb = arg("backup or restore")?;
    let (repo, path) = (PathBuf::from(arg("REPO")?), PathBuf::from(arg("a path")?));
    let keys = VaultKeys::from_root(&[1; 32]);
    let vault = Vault::open(repo.join("vault"), keys).await?;
    let segments = Arc::new(LocalSegments::open(repo.join("segments"))?);
    let (progress, cancel) = (Progress::new(), CancellationToken::new());
    let said = match verb.to_str() {
        Some("backup") => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
            let mut options =
                BackupOptions::new(vec![path], "bench".to_owned(), Time(now.try_into()?));
            options.default_excludes = false;
            let made = vault.backup(options, &segments, &progress, &cancel).await?;
            format!("{made:?}")
        }
        Some("restore") => {
            let options = RestoreOptions {
                snapshot: vault.resolve("latest").await?.1,
                subpath: None,
                target: path,
                include: Vec::new(),
                exclude: Vec::new(),
                verify: false,
            };
            let made = vault
                .restore(options, &segments, &progress, &cancel)
                .await?;
            format!("{made:?}")
        }
        Some(_) | None => bail!("the first word is backup or restore"),
    };
    Ok(writeln!(std::io::stdout(), "{said}")?)
}
