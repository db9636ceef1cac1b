//! A provider's volumes: the home's own folder, and disks that were added to it, each a store with a
//! mark of its own. A new shard goes to one of them by their free space; reading and deleting go to
//! where a shard lies. A volume that is not there does not stop the others: what lies on it cannot
//! be read, which is not the same as absent. Nothing here declares anything lost.

mod all;
mod placing;

pub use placing::Placing;

use self::all::{All, Volume, open_store, twin};
use super::{Look, ShardStore, StoreError};
use larder_engine::{Disks, VolumeId};
use larder_proofs::{Outboard, ShardReader};
use larder_types::{Bytes, Millis, ShardRoot, Time};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Which shards the engine's rows say lie where.
pub type Known = BTreeMap<VolumeId, Vec<ShardRoot>>;

/// A volume, as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeConfig {
    /// Its name in the rows; never given twice.
    pub id: VolumeId,
    /// Its folder; the shards lie below `shards/` in it.
    pub path: PathBuf,
    /// The most that its shards may take; `None`: what the disk has.
    pub size: Option<Bytes>,
}

/// All volumes of a node. Clones are the same.
#[derive(Debug, Clone)]
pub struct Volumes(Arc<RwLock<All>>);

/// A volume, for people.
#[derive(Debug, Clone)]
pub struct VolumeReport {
    /// As it is configured.
    pub config: VolumeConfig,
    /// What shards and outboards take.
    pub used: Bytes,
    /// What may still be stored there: what the quota leaves, or the volume itself if that is less.
    pub free: Bytes,
    /// What the volume itself has left.
    pub disk_free: Bytes,
    /// What is wrong with it.
    pub trouble: Option<String>,
    /// Whether what lies there can be read, as far as is known.
    pub readable: bool,
    /// Whether it is being emptied.
    pub closing: bool,
}

impl Volumes {
    /// Opens what is there. The home's own folder must be if it is the only one.
    ///
    /// # Errors
    /// [`StoreError`], of the home's folder where it is the only one.
    pub fn open(
        home: &Path,
        added: Vec<VolumeConfig>,
        (quota, reserve): (Bytes, Bytes),
        known: &Known,
    ) -> Result<Self, StoreError> {
        let mut all = All {
            home: home.to_owned(),
            quota: quota.0,
            reserve,
            volumes: BTreeMap::new(),
            places: HashMap::new(),
        };
        for (id, roots) in known.iter().filter(|(id, _)| **id != VolumeId::HOME) {
            all.places.extend(roots.iter().map(|root| (*root, *id)));
        }
        let only = added.is_empty();
        let home = VolumeConfig {
            id: VolumeId::HOME,
            path: home.to_owned(),
            size: None,
        };
        for config in std::iter::once(home).chain(added) {
            let roots = known.get(&config.id).map_or(&[][..], Vec::as_slice);
            let opened = open_store((&all.home, reserve), &config, roots);
            if only {
                all.insert(config, Ok(opened?), !roots.is_empty());
            } else {
                all.insert(config, opened, !roots.is_empty());
            }
        }
        Ok(Self(Arc::new(RwLock::new(all))))
    }

    /// Adds a volume, or looks once more for one whose disk was not there.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing was added.
    pub fn add(&self, config: VolumeConfig, known: &[ShardRoot]) -> Result<(), StoreError> {
        let store = self.prepare(&config, known)?;
        self.join(config, store);
        Ok(())
    }

    /// Opens the store of a volume that is to be added, and marks it as ours; nothing goes there yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn prepare(
        &self,
        config: &VolumeConfig,
        known: &[ShardRoot],
    ) -> Result<ShardStore, StoreError> {
        let (home, reserve) = {
            let all = self.read();
            (all.home.clone(), all.reserve)
        };
        open_store((&home, reserve), config, known)
    }

    /// Adds a volume whose store was prepared.
    pub fn join(&self, config: VolumeConfig, store: ShardStore) {
        self.write().insert(config, Ok(store), false);
    }

    /// Forgets a volume. What its places say stays until the shards are dropped or moved.
    pub fn remove(&self, id: VolumeId) {
        let mut all = self.write();
        let Some(volume) = all.volumes.remove(&id) else {
            return;
        };
        let twin = twin(&all.home, id);
        for file in [Some(twin), volume.store.map(|store| store.mark())] {
            let removed = file.map_or(Ok(()), std::fs::remove_file);
            removed.unwrap_or_else(|e| tracing::debug!("a volume's mark stays: {e}"));
        }
    }

    /// Begins to store a shard on one of the volumes.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Elsewhere`], [`StoreError::Io`].
    pub fn begin(&self, root: ShardRoot, len: u64) -> Result<Placing, StoreError> {
        let all = self.read();
        let needed = super::store::footprint(len);
        let taken = all.stores().map(|(_, s)| s.taken()).sum();
        let have = all.quota.saturating_sub(taken);
        if needed > have {
            let (needed, have) = (Bytes(needed), Bytes(have));
            return Err(StoreError::Full { needed, have });
        }
        let (volume, store) = all.choose(&root, needed, None)?;
        self.placing(volume, store, root, len)
    }

    /// Begins to store a shard on another volume than the one it lies on.
    ///
    /// # Errors
    /// As [`Volumes::begin`].
    pub fn begin_beside(&self, root: ShardRoot, len: u64) -> Result<Placing, StoreError> {
        let all = self.read();
        let from = all.of(&root);
        let (volume, store) = all.choose(&root, super::store::footprint(len), Some(from))?;
        self.placing(volume, store, root, len)
    }

    fn placing(
        &self,
        volume: VolumeId,
        store: &ShardStore,
        root: ShardRoot,
        len: u64,
    ) -> Result<Placing, StoreError> {
        Ok(Placing {
            volumes: self.clone(),
            volume,
            root,
            writer: store.begin(root, len)?,
        })
    }

    /// The volume that a shard lies on.
    #[must_use]
    pub fn of(&self, root: &ShardRoot) -> VolumeId {
        self.read().of(root)
    }

    /// A shard lies on this volume from now on.
    pub fn moved(&self, root: ShardRoot, to: VolumeId) {
        self.write().put(root, to);
    }

    /// The volumes, in order.
    #[must_use]
    pub fn ids(&self) -> Vec<VolumeId> {
        self.read().volumes.keys().copied().collect()
    }

    /// A number that no volume has, nor any row, and of which no twin is left.
    #[must_use]
    pub fn spare_id(&self, known: &Known) -> VolumeId {
        let all = self.read();
        let used = all.volumes.keys().chain(known.keys()).max();
        let mut next = used.map_or(1, |id| id.0.saturating_add(1));
        while twin(&all.home, VolumeId(next)).exists() {
            next = next.saturating_add(1);
        }
        VolumeId(next)
    }

    /// The store of a volume.
    ///
    /// # Errors
    /// [`StoreError::Elsewhere`] if it is not there.
    pub fn store(&self, id: VolumeId) -> Result<ShardStore, StoreError> {
        self.read().store(id).cloned()
    }

    /// The store that a shard lies in.
    ///
    /// # Errors
    /// [`StoreError::Absent`] if its volume was let go; [`StoreError::Elsewhere`] if that is not
    /// there.
    pub fn at(&self, root: &ShardRoot) -> Result<ShardStore, StoreError> {
        let all = self.read();
        let id = all.of(root);
        if !all.volumes.contains_key(&id) {
            return Err(StoreError::Absent { root: *root });
        }
        all.store(id).cloned()
    }

    /// A shard's file, at its beginning, and its length in bytes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_shard(&self, root: &ShardRoot) -> Result<(File, u64), StoreError> {
        self.at(root)?.open_shard(root)
    }

    /// Looks at a shard.
    #[must_use]
    pub fn look(&self, root: &ShardRoot) -> Look {
        match self.at(root) {
            Ok(store) => store.look(root),
            Err(absent @ StoreError::Absent { .. }) => Look::Damaged(absent),
            Err(unknown) => Look::Unreadable(unknown),
        }
    }

    /// Makes the next look ask the disk.
    pub fn forget(&self, root: &ShardRoot) {
        if let Ok(store) = self.at(root) {
            store.forget(root);
        }
    }

    /// Whether the shard is there.
    #[must_use]
    pub fn contains(&self, root: &ShardRoot) -> bool {
        self.at(root).is_ok_and(|store| store.contains(root))
    }

    /// Moves a shard to its volume's trash; whether it was there. `now` is when.
    ///
    /// # Errors
    /// [`StoreError::Io`]; [`StoreError::Elsewhere`].
    pub fn delete(&self, root: &ShardRoot, now: Time) -> Result<bool, StoreError> {
        let deleted = match self.at(root) {
            Ok(store) => store.delete(root, now)?,
            Err(StoreError::Absent { .. }) => false,
            Err(e) => return Err(e),
        };
        self.moved(*root, VolumeId::HOME);
        Ok(deleted)
    }

    /// Removes for good what was deleted `keep` ago or earlier; how many bytes that freed.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn empty_trash(&self, now: Time, keep: Millis) -> Result<Bytes, StoreError> {
        let stores: Vec<ShardStore> = self.read().stores().map(|(_, s)| s.clone()).collect();
        let mut freed = 0;
        for store in stores {
            freed += store.empty_trash(now, keep)?.0;
        }
        Ok(Bytes(freed))
    }

    /// Trashes shards that no row knows in the place where they lie: the node was killed between a
    /// shard's sync and its row's, between a row's end and its shard's, or while it was moved.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn trash_strays(&self, known: &Known, now: Time) -> Result<(), StoreError> {
        for id in self.ids() {
            let Ok(store) = self.store(id) else {
                continue;
            };
            let known: BTreeSet<&ShardRoot> = known.get(&id).into_iter().flatten().collect();
            for root in store.list()?.iter().filter(|root| !known.contains(root)) {
                tracing::info!(%root, "a shard that belongs to no contract goes to the trash");
                store.delete(root, now)?;
            }
        }
        Ok(())
    }

    /// Changes what may lie on a volume; less deletes nothing.
    pub fn resize(&self, id: VolumeId, size: Option<Bytes>) {
        if let Some(volume) = self.write().volumes.get_mut(&id) {
            volume.config.size = size;
            if let Some(store) = &volume.store {
                store.set_quota(size.unwrap_or(Bytes(u64::MAX)));
            }
        }
    }

    /// The operator's word that a volume's folder is gone for good, and that a new one begins.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn begin_anew(&self, config: &VolumeConfig) -> Result<(), StoreError> {
        ShardStore::disown(&config.path.join("shards"))?;
        self.add(config.clone(), &[])
    }

    /// Changes what all of them together may take. A smaller one deletes nothing; it refuses what is
    /// new.
    pub fn set_quota(&self, quota: Bytes) {
        self.write().quota = quota.0;
    }

    /// Nothing new goes to a volume from now on, or does again.
    pub fn set_closing(&self, id: VolumeId, closing: bool) {
        if let Some(volume) = self.write().volumes.get_mut(&id) {
            volume.closing = closing;
        }
    }

    /// What a pass over a volume found amiss with its disk as a whole, if anything.
    pub fn set_ailing(&self, id: VolumeId, ailing: Option<String>) {
        if let Some(volume) = self.write().volumes.get_mut(&id) {
            volume.ailing = ailing;
        }
    }

    /// Looks whether each volume is there and itself, and for those that were not, and whether
    /// something can be written there; what the disks are then.
    pub fn watch(&self) -> Disks {
        for id in self.ids() {
            let found = self.look_for(id);
            if let Some(volume) = self.write().volumes.get_mut(&id) {
                volume.found(found);
            }
        }
        let all = self.read();
        let mut failing = all.volumes.values().filter(|v| v.fails());
        let usable = all.usable().filter_map(|(_, store)| store.free().ok());
        Disks {
            failing: failing.any(Volume::holds),
            free: Some(Bytes(usable.map(|b| b.0).fold(0, u64::saturating_add))),
        }
    }

    /// Whether a volume can be read; and, if it can, whether it can be written.
    fn look_for(&self, id: VolumeId) -> Result<Result<(), StoreError>, StoreError> {
        let (opened, config) = match self.read().volumes.get(&id) {
            Some(volume) => (volume.store.clone(), volume.config.clone()),
            None => return Ok(Ok(())),
        };
        match opened {
            Some(store) => store.check_anew().map(|()| store.try_writing()),
            None => {
                // Nothing is begun here by itself.
                let mark = ShardStore::mark_in(&config.path.join("shards"));
                if !mark.exists() {
                    return Err(StoreError::Elsewhere { mark });
                }
                self.add(config, &[]).map(Ok)
            }
        }
    }

    /// Every volume, for people.
    #[must_use]
    pub fn report(&self) -> Vec<VolumeReport> {
        let all = self.read();
        let quota = all.quota;
        let taken: u64 = all.stores().map(|(_, s)| s.taken()).sum();
        let report = |volume: &Volume| {
            let readable = volume.store.as_ref().filter(|_| volume.gone.is_none());
            let free = readable.and_then(|s| s.free().ok()).unwrap_or(Bytes(0));
            VolumeReport {
                config: volume.config.clone(),
                used: readable.map_or(Bytes(0), ShardStore::used),
                free: Bytes(free.0.min(quota.saturating_sub(taken))),
                disk_free: free,
                trouble: volume.trouble().map(str::to_owned),
                readable: !volume.fails(),
                closing: volume.closing,
            }
        };
        all.volumes.values().map(report).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, All> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, All> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ShardReader for Volumes {
    type Error = StoreError;

    fn group(&self, shard: &ShardRoot, group: u64) -> Result<Vec<u8>, StoreError> {
        self.at(shard)?.group(shard, group)
    }

    fn outboard(&self, shard: &ShardRoot) -> Result<Outboard, StoreError> {
        self.at(shard)?.outboard(shard)
    }
}

impl From<ShardStore> for Volumes {
    /// One store alone, as the home's.
    fn from(store: ShardStore) -> Self {
        let config = VolumeConfig {
            id: VolumeId::HOME,
            path: PathBuf::new(),
            size: None,
        };
        let mut all = All {
            home: PathBuf::new(),
            quota: u64::MAX,
            reserve: Bytes(0),
            volumes: BTreeMap::new(),
            places: HashMap::new(),
        };
        all.insert(config, Ok(store), false);
        Self(Arc::new(RwLock::new(all)))
    }
}

#[cfg(test)]
#[path = "volumes/tests.rs"]
mod tests;
