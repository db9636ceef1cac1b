//! The volumes behind the lock: which there are, where each shard lies, and which one a new shard goes
//! to.

use super::VolumeConfig;
use crate::shards::{ShardStore, StoreConfig, StoreError};
use larder_engine::VolumeId;
use larder_types::{Bytes, ShardRoot};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct All {
    /// Where the marks' twins are: the home.
    pub(super) home: PathBuf,
    /// The most that all of them together may take.
    pub(super) quota: u64,
    /// What stays free on each disk.
    pub(super) reserve: Bytes,
    pub(super) volumes: BTreeMap<VolumeId, Volume>,
    /// Where shards lie that do not lie in the home.
    pub(super) places: HashMap<ShardRoot, VolumeId>,
}

#[derive(Debug)]
pub(super) struct Volume {
    pub(super) config: VolumeConfig,
    /// `None`: its disk was not there when the node started, or when it was looked for last.
    pub(super) store: Option<ShardStore>,
    /// Whether anything lay on it when it was opened.
    pub(super) held: bool,
    /// Why it cannot be read now: its folder is not there, or not itself.
    pub(super) gone: Option<String>,
    /// What the last pass of the scrubber found amiss with the disk as a whole.
    pub(super) ailing: Option<String>,
    /// Why nothing can be stored there, though what lies there can be read.
    pub(super) unwritable: Option<String>,
    /// Whether it is being emptied: nothing new goes there.
    pub(super) closing: bool,
}

impl All {
    pub(super) fn insert(
        &mut self,
        config: VolumeConfig,
        store: Result<ShardStore, StoreError>,
        held: bool,
    ) {
        let gone = store.as_ref().err().map(ToString::to_string);
        if let Some(why) = &gone {
            tracing::error!("volume {}: {why}. It is not served", config.path.display());
        }
        let volume = Volume {
            config,
            store: store.ok(),
            held,
            gone,
            ailing: None,
            unwritable: None,
            closing: false,
        };
        self.volumes.insert(volume.config.id, volume);
    }

    pub(super) fn of(&self, root: &ShardRoot) -> VolumeId {
        self.places.get(root).copied().unwrap_or_default()
    }

    pub(super) fn put(&mut self, root: ShardRoot, volume: VolumeId) {
        if volume == VolumeId::HOME {
            self.places.remove(&root);
        } else {
            self.places.insert(root, volume);
        }
    }

    pub(super) fn stores(&self) -> impl Iterator<Item = (&Volume, &ShardStore)> {
        let volumes = self.volumes.values();
        volumes.filter_map(|v| v.store.as_ref().map(|store| (v, store)))
    }

    /// Those that something new may go to.
    pub(super) fn usable(&self) -> impl Iterator<Item = (&Volume, &ShardStore)> {
        let stores = self.stores();
        stores.filter(|(volume, _)| volume.trouble().is_none() && !volume.closing)
    }

    pub(super) fn store(&self, id: VolumeId) -> Result<&ShardStore, StoreError> {
        let volume = self.volumes.get(&id);
        let readable = volume.filter(|v| v.gone.is_none());
        readable.and_then(|v| v.store.as_ref()).ok_or_else(|| {
            let path = volume.map_or(&self.home, |v| &v.config.path);
            let mark = ShardStore::mark_in(&path.join("shards"));
            StoreError::Elsewhere { mark }
        })
    }

    /// One of the volumes that have room, by the shard's own name: each in proportion to its free
    /// space, so that they fill up together.
    pub(super) fn choose(
        &self,
        root: &ShardRoot,
        needed: u64,
        except: Option<VolumeId>,
    ) -> Result<(VolumeId, &ShardStore), StoreError> {
        let mut roomy = Vec::new();
        let (mut most, mut refused) = (0, None);
        for (volume, store) in self.usable() {
            if except == Some(volume.config.id) {
                continue;
            }
            match store.free() {
                Ok(free) if free.0 >= needed => roomy.push((volume.config.id, store, free.0)),
                Ok(free) => most = most.max(free.0),
                Err(e) => refused = Some(e),
            }
        }
        let total: u128 = roomy.iter().map(|(_, _, free)| u128::from(*free)).sum();
        let name = u128::from_le_bytes(root.0.first_chunk().copied().unwrap_or_default());
        let mut at = if total == 0 { 0 } else { name % total };
        for (id, store, free) in &roomy {
            match at.checked_sub(u128::from(*free)) {
                Some(rest) => at = rest,
                None => return Ok((*id, *store)),
            }
        }
        // A shard of no bytes fits anywhere.
        if let Some((id, store, _)) = roomy.first() {
            return Ok((*id, *store));
        }
        Err(refused.unwrap_or(StoreError::Full {
            needed: Bytes(needed),
            have: Bytes(most),
        }))
    }
}

impl Volume {
    pub(super) fn holds(&self) -> bool {
        self.store.as_ref().map_or(self.held, |s| s.used().0 > 0)
    }

    /// Notes what a look at it found, and says so where that is news.
    pub(super) fn found(&mut self, found: Result<Result<(), StoreError>, StoreError>) {
        let path = self.config.path.display();
        let (gone, unwritable) = match found {
            Ok(Ok(())) => (None, None),
            Ok(Err(e)) => (None, Some(format!("{e}. Nothing new goes there"))),
            Err(e) => (Some(e.to_string()), None),
        };
        match &gone {
            Some(why) if self.gone.is_none() => {
                tracing::error!("volume {path}: {why}. It is not served");
            }
            None if self.gone.is_some() => tracing::warn!("volume {path} is there again"),
            Some(_) | None => {}
        }
        match &unwritable {
            Some(why) if self.unwritable.is_none() => tracing::error!("volume {path}: {why}"),
            None if self.unwritable.is_some() && gone.is_none() => {
                tracing::warn!("volume {path} can be written again");
            }
            Some(_) | None => {}
        }
        (self.gone, self.unwritable) = (gone, unwritable);
    }

    /// Whether it does not give back what it holds.
    pub(super) fn fails(&self) -> bool {
        self.gone.is_some() || self.ailing.is_some()
    }

    /// What is wrong with it, the worst first.
    pub(super) fn trouble(&self) -> Option<&str> {
        let trouble = [&self.gone, &self.ailing, &self.unwritable];
        trouble.into_iter().find_map(Option::as_deref)
    }
}

pub(super) fn open_store(
    (home, reserve): (&Path, Bytes),
    config: &VolumeConfig,
    known: &[ShardRoot],
) -> Result<ShardStore, StoreError> {
    let store = StoreConfig {
        dir: config.path.join("shards"),
        twin: twin(home, config.id),
        quota: config.size.unwrap_or(Bytes(u64::MAX)),
        reserve,
    };
    // The folder of a disk that is not mounted looks like one that was never used.
    let mark = ShardStore::mark_in(&store.dir);
    if config.id != VolumeId::HOME && store.twin.exists() && !mark.exists() {
        return Err(StoreError::Elsewhere { mark });
    }
    ShardStore::open(&store, known)
}

/// The file in the home that says which store a volume is.
pub(super) fn twin(home: &Path, id: VolumeId) -> PathBuf {
    match id {
        VolumeId::HOME => home.join("shards.mark"),
        VolumeId(n) => home.join(format!("shards-{n}.mark")),
    }
}
