//! The operator's hand on the volumes of a running provider: adding one, resizing it, taking it
//! away. Taken away, its shards are moved to the others first; or, on the operator's word that the
//! disk is gone, declared lost. Beside that, a look every few seconds whether each of them is there.

use crate::driver::{DriverHandle, Stopping};
use crate::home::HomeError;
use crate::settings::{ConfigFile, put_volume, remove_volume};
use crate::shards::scrub::Suspects;
use crate::shards::{Known, StoreError, VolumeConfig, VolumeReport, Volumes};
use larder_engine::{Command, Disks, Engine, Input, ProviderCommand, VolumeId};
use larder_types::{Bytes, Millis, ShardRoot};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::MissedTickBehavior;

/// Volumes are looked at so often in an epoch, but at least and at most at these intervals.
const LOOKS: u64 = 16;
const LOOK_BOUNDS: (u64, u64) = (250, 30_000);
/// Shards that are moved between two rows' transactions.
const MOVED_AT_ONCE: usize = 64;
/// While a volume is emptied: how long shards that are still arriving there are waited for.
const ARRIVING: Duration = Duration::from_millis(250);
/// Looks at what has no row, before it is taken for a stray.
const STRAY_LOOKS: u32 = 40;

/// Why a volume was not added or removed.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// No such volume.
    #[error("{0} is no volume of this node; `larder volume list` names them")]
    Unknown(PathBuf),
    /// It is one already.
    #[error("{0} is a volume of this node already, and there")]
    There(PathBuf),
    /// Nothing is there, or it is no folder, or the path depends on where it is read.
    #[error("{0} is no folder: make it, or mount its disk, and name it by its whole path")]
    NotAFolder(PathBuf),
    /// It holds shards, and not this volume's.
    #[error(
        "{0} holds shards of another node, or of a volume that was let go: choose another folder, \
         or delete `shards` in it"
    )]
    Foreign(PathBuf),
    /// The home's own folder is no volume that can be let go.
    #[error("{0} is the home itself; its shards can only be declared lost, with --lost")]
    Home(PathBuf),
    /// It answers.
    #[error(
        "{0} is there and answers: without --lost its shards are moved to the other volumes. If \
         its disk fails all the same, unmount it first"
    )]
    NotLost(PathBuf),
    /// It cannot be read.
    #[error("{0} cannot be read: mount its disk; or, if that is gone for good, say --lost")]
    Unreadable(PathBuf),
    /// The others have too little room.
    #[error("the other volumes have room for {have}, {needed} are needed: add one, or wait")]
    NoRoom {
        /// What lies there.
        needed: Bytes,
        /// What the others can take.
        have: Bytes,
    },
    /// It is being emptied already.
    #[error("{0} is being emptied already")]
    Closing(PathBuf),
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] HomeError),
    /// The node is stopping.
    #[error(transparent)]
    Stopping(#[from] Stopping),
}

/// What became of a volume that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It is gone; so many shards of it will be declared lost.
    Lost(u64),
    /// Its shards, so many, are being moved; it goes when they are.
    Emptying(u64),
}

/// Acts on the volumes.
#[derive(Debug, Clone)]
pub struct Keeper {
    /// The volumes.
    pub volumes: Volumes,
    /// Who answers for the shards.
    pub driver: DriverHandle,
    /// Where the volumes are written down.
    pub config: ConfigFile,
    /// Who looks at shards that cannot be moved.
    pub suspects: Suspects,
    /// The network's epoch.
    pub epoch: Millis,
    /// Held by whoever changes them; first come, first served.
    pub turn: Arc<Mutex<()>>,
}

impl Keeper {
    /// Looks at the volumes until the engine stops, and tells it when one fails.
    pub async fn watch(self) {
        let (least, most) = LOOK_BOUNDS;
        let every = Duration::from_millis((self.epoch.0 / LOOKS).clamp(least, most));
        let mut looks = tokio::time::interval(every);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Disks::default();
        loop {
            looks.tick().await;
            let disks = self.blocking(Volumes::watch).await;
            if disks == told {
                continue;
            }
            told = disks;
            if self.tell(ProviderCommand::Disks(disks)).await.is_err() {
                return;
            }
        }
    }

    /// Adds a volume; or, if it is one whose disk was not there, looks for that again.
    ///
    /// # Errors
    /// [`VolumeError`].
    pub async fn add(&self, path: PathBuf, size: Option<Bytes>) -> Result<(), VolumeError> {
        if !path.is_absolute() || !path.is_dir() {
            return Err(VolumeError::NotAFolder(path));
        }
        let _turn = self.turn.lock().await;
        let known = self.known().await?;
        let volumes = self.volumes.report();
        if let Some(volume) = volumes.iter().find(|v| same(&v.config.path, &path)) {
            self.blocking(Volumes::watch).await;
            let there = self.volumes.store(volume.config.id).is_ok();
            return match (volume.trouble.is_some() && there, there) {
                (true, _) => Ok(()),
                (false, true) => Err(VolumeError::There(path)),
                (false, false) => Err(VolumeError::Unreadable(path)),
            };
        }
        let id = self.volumes.spare_id(&known);
        let config = VolumeConfig { id, path, size };
        let added = config.clone();
        let prepared = self.blocking(move |volumes| volumes.prepare(&added, &[]));
        let store = match prepared.await {
            Err(StoreError::Elsewhere { .. }) => return Err(VolumeError::Foreign(config.path)),
            prepared => prepared?,
        };
        // It is written down before anything lies there, or a restart would not know it.
        let added = config.clone();
        self.edit(move |file| put_volume(file, &added)).await?;
        self.volumes.join(config, store);
        Ok(())
    }

    /// Changes how much may lie on a volume. Less deletes nothing.
    ///
    /// # Errors
    /// [`VolumeError`].
    pub async fn resize(&self, path: &Path, size: Option<Bytes>) -> Result<(), VolumeError> {
        let _turn = self.turn.lock().await;
        let volume = self.find(path)?;
        if volume.config.id == VolumeId::HOME {
            return Err(VolumeError::Home(path.to_owned()));
        }
        let config = VolumeConfig {
            size,
            ..volume.config
        };
        self.volumes.resize(config.id, size);
        self.edit(move |file| put_volume(file, &config)).await
    }

    /// Takes a volume away: `lost` is the operator's word that its disk is gone for good.
    ///
    /// # Errors
    /// [`VolumeError`].
    pub async fn remove(&self, path: &Path, lost: bool) -> Result<Removed, VolumeError> {
        let _turn = self.turn.lock().await;
        self.blocking(Volumes::watch).await;
        let volume = self.find(path)?;
        let path = volume.config.path.clone();
        match (lost, volume.readable) {
            (true, false) => self.lose(volume.config).await,
            (true, true) => Err(VolumeError::NotLost(path)),
            (false, _) if volume.config.id == VolumeId::HOME => Err(VolumeError::Home(path)),
            (false, false) => Err(VolumeError::Unreadable(path)),
            (false, true) if volume.closing => Err(VolumeError::Closing(path)),
            (false, true) => self.empty(volume).await,
        }
    }

    /// All that lay there will be declared; then the volume is forgotten. In the home a new folder
    /// begins.
    async fn lose(&self, config: VolumeConfig) -> Result<Removed, VolumeError> {
        let id = config.id;
        let known = self.known().await?;
        let mut roots = known.get(&id).cloned().unwrap_or_default();
        if id == VolumeId::HOME {
            // What came after a new folder was begun is there.
            let gone = move |volumes: &Volumes| {
                roots.retain(|root| !volumes.contains(root));
                roots
            };
            roots = self.blocking(gone).await;
        }
        tracing::error!(
            "{} is lost, the operator says: {} shards will be declared lost, with half of their \
             collateral",
            config.path.display(),
            roots.len()
        );
        let count = roots.len() as u64;
        let told = Input::Command(Command::Damaged(roots));
        self.driver.input(told).await?;
        self.settled().await?;
        if id == VolumeId::HOME {
            let again = move |volumes: &Volumes| volumes.begin_anew(&config);
            self.blocking(again).await?;
        } else {
            self.edit(move |file| remove_volume(file, id)).await?;
            self.volumes.remove(id);
        }
        self.blocking(Volumes::watch).await;
        Ok(Removed::Lost(count))
    }

    async fn empty(&self, volume: VolumeReport) -> Result<Removed, VolumeError> {
        let id = volume.config.id;
        let known = self.known().await?;
        let shards = known.get(&id).map_or(0, |roots| roots.len() as u64);
        let volumes = self.volumes.report();
        let others = volumes.iter().filter(|v| v.config.id != id && !v.closing);
        let others = others.filter(|v| v.trouble.is_none());
        let have: u64 = others.map(|v| v.disk_free.0).fold(0, u64::saturating_add);
        if have < volume.used.0 {
            return Err(VolumeError::NoRoom {
                needed: volume.used,
                have: Bytes(have),
            });
        }
        self.volumes.set_closing(id, true);
        let keeper = self.clone();
        tokio::spawn(async move {
            let path = volume.config.path.display();
            match keeper.move_away(id).await {
                Ok(()) => tracing::warn!("volume {path} is empty, and let go"),
                Err(e) => {
                    keeper.volumes.set_closing(id, false);
                    tracing::error!("volume {path} is not let go: {e}");
                }
            }
        });
        Ok(Removed::Emptying(shards))
    }

    /// Moves everything off a volume, what arrives meanwhile too, then lets go of it.
    async fn move_away(&self, id: VolumeId) -> Result<(), VolumeError> {
        let mut looks = 0;
        loop {
            let mut known = self.known().await?;
            let here = known.remove(&id).unwrap_or_default();
            for roots in here.chunks(MOVED_AT_ONCE) {
                self.move_some(roots).await?;
            }
            let store = self.volumes.store(id)?;
            let left = spawn_blocking(move || {
                let arriving = store.taken().saturating_sub(store.used().0);
                Ok((store.list()?, arriving))
            });
            let left: Result<_, StoreError> = left.await.expect("the store does not panic");
            let (strays, arriving) = left?;
            if here.is_empty() && strays.is_empty() && arriving == 0 {
                break;
            }
            if here.is_empty() {
                // Being received now, or left over: it is told in time.
                looks += 1;
                tokio::time::sleep(ARRIVING).await;
            }
            if looks >= STRAY_LOOKS && here.is_empty() && arriving == 0 {
                self.blocking(move |volumes| clear(volumes, id, &strays))
                    .await?;
                break;
            }
        }
        self.edit(move |file| remove_volume(file, id)).await?;
        self.volumes.remove(id);
        Ok(())
    }

    /// Copies shards to other volumes, each hashed on the way; once the rows say so, the old ones go.
    async fn move_some(&self, roots: &[ShardRoot]) -> Result<(), VolumeError> {
        let mut copied = Vec::new();
        for root in roots {
            let root = *root;
            if !self.driver.query(move |e| e.is_sound(&root)).await? {
                // It is declared lost, and leaves with that.
                let drop = move |volumes: &Volumes| volumes.delete(&root, crate::home::now());
                self.blocking(drop).await?;
                continue;
            }
            match self.blocking(move |volumes| copy(volumes, root)).await {
                Ok(to) => copied.push((root, to)),
                Err(e) => {
                    self.suspects.add(root);
                    return Err(e.into());
                }
            }
        }
        for (root, volume) in &copied {
            let (volume, roots) = (*volume, vec![*root]);
            self.tell(ProviderCommand::Moved { volume, roots }).await?;
        }
        self.settled().await?;
        let switch = move |volumes: &Volumes| {
            for (root, to) in copied {
                let from = volumes.at(&root)?;
                volumes.moved(root, to);
                if let Err(e) = from.remove(&root) {
                    tracing::warn!("{e}: a copy stays behind, which nothing refers to");
                }
            }
            Ok::<(), StoreError>(())
        };
        Ok(self.blocking(switch).await?)
    }

    fn find(&self, path: &Path) -> Result<VolumeReport, VolumeError> {
        let mut volumes = self.volumes.report().into_iter();
        volumes
            .find(|v| same(&v.config.path, path))
            .ok_or_else(|| VolumeError::Unknown(path.to_owned()))
    }

    async fn known(&self) -> Result<Known, Stopping> {
        self.driver.query(Engine::shards_by_volume).await
    }

    async fn tell(&self, command: ProviderCommand) -> Result<(), Stopping> {
        self.driver
            .input(Input::Command(Command::Provider(command)))
            .await
    }

    /// Returns once all that the engine was told is durable: a query is answered before the batch it
    /// comes with is written, and after the one before.
    async fn settled(&self) -> Result<(), Stopping> {
        self.driver.query(|_| ()).await?;
        self.driver.query(|_| ()).await
    }

    async fn edit(
        &self,
        change: impl FnOnce(&mut toml_edit::DocumentMut) + Send + 'static,
    ) -> Result<(), VolumeError> {
        let file = self.config.clone();
        let edited = spawn_blocking(move || file.edit(change)).await;
        Ok(edited.expect("editing does not panic")?)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Volumes) -> T + Send + 'static,
    ) -> T {
        let volumes = self.volumes.clone();
        let done = spawn_blocking(move || work(&volumes)).await;
        done.expect("the volumes do not panic")
    }
}

/// Trashes what no row knows on a volume that is let go. A disk that cannot be written keeps it.
fn clear(volumes: &Volumes, id: VolumeId, strays: &[ShardRoot]) -> Result<(), StoreError> {
    let store = volumes.store(id)?;
    for stray in strays {
        if let Err(e) = store.delete(stray, crate::home::now()) {
            tracing::warn!("{e}: it stays behind, and nothing refers to it");
        }
    }
    Ok(())
}

/// Copies a shard to another volume.
fn copy(volumes: &Volumes, root: ShardRoot) -> Result<VolumeId, StoreError> {
    let (mut file, len) = volumes.open_shard(&root)?;
    let mut placing = volumes.begin_beside(root, len)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).map_err(|source| StoreError::Io {
            act: "read",
            path: PathBuf::from(root.to_string()),
            source,
        })?;
        if read == 0 {
            break;
        }
        placing.write(&buffer[..read])?;
    }
    placing.finish_copy()
}

/// Whether two paths name one folder, also where it is gone.
fn same(a: &Path, b: &Path) -> bool {
    a == b || matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}
