//! Shards that go to the trash: one at a time, so that forgetting many costs the disk no storm. A
//! shard that is stored anew must not fall to a deletion that was asked for before: whoever is
//! about to store one settles it first.

use crate::shards::Volumes;
use larder_types::ShardRoot;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Mutex as Turn;

/// The shards that wait for it; at most as many as the store holds.
#[derive(Debug, Clone)]
pub struct Doomed {
    store: Volumes,
    waiting: Arc<Mutex<Waiting>>,
    /// Held by whoever deletes; first come, first served.
    turn: Arc<Turn<()>>,
}

#[derive(Debug, Default)]
struct Waiting {
    roots: BTreeSet<ShardRoot>,
    /// Whether a task works on them.
    worked: bool,
}

impl Doomed {
    /// Nothing waits.
    #[must_use]
    pub fn new(store: Volumes) -> Self {
        Self {
            store,
            waiting: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// The shard is to go. Returns at once.
    pub fn add(&self, root: ShardRoot) {
        let mut waiting = self.waiting();
        waiting.roots.insert(root);
        if !waiting.worked {
            waiting.worked = true;
            tokio::spawn(self.clone().work());
        }
    }

    /// Returns once no deletion of this shard is owed any more.
    pub async fn settle(&self, root: ShardRoot) {
        if self.waiting().roots.contains(&root) {
            self.delete(root).await;
        }
    }

    async fn work(self) {
        while let Some(root) = self.next() {
            self.delete(root).await;
        }
    }

    fn next(&self) -> Option<ShardRoot> {
        let mut waiting = self.waiting();
        let next = waiting.roots.first().copied();
        waiting.worked = next.is_some();
        next
    }

    /// Deletes the shard if that is still owed. It stays owed until it is done, and only one
    /// deletion runs: nobody can mean a file that came later.
    async fn delete(&self, root: ShardRoot) {
        let _turn = self.turn.lock().await;
        if !self.waiting().roots.contains(&root) {
            return;
        }
        let store = self.store.clone();
        let deleted =
            tokio::task::spawn_blocking(move || store.delete(&root, crate::home::now())).await;
        if let Ok(Err(e)) = deleted {
            tracing::warn!(%root, "a shard stays until the next start: {e}");
        }
        self.waiting().roots.remove(&root);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shards::{ShardStore, StoreConfig};
    use larder_types::Bytes;

    const SHARD: [u8; 4] = [7; 4];

    fn store(dir: &std::path::Path) -> Volumes {
        let config = StoreConfig {
            dir: dir.to_owned(),
            twin: dir.join("twin"),
            quota: Bytes(1 << 20),
            reserve: Bytes(0),
        };
        ShardStore::open(&config, &[]).unwrap().into()
    }

    fn put(store: &Volumes) -> ShardRoot {
        let root = ShardRoot(*blake3::hash(&SHARD).as_bytes());
        let mut writer = store.begin(root, 4).unwrap();
        writer.write(&SHARD).unwrap();
        writer.finish().unwrap();
        root
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_shard_stored_after_it_was_doomed_stays() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let doomed = Doomed::new(store.clone());
        for _ in 0..50 {
            let root = put(&store);
            doomed.add(root);
            doomed.settle(root).await;
            assert!(!store.contains(&root));
            put(&store);
            // The deleting task has had its turn when the next one does.
            drop(doomed.turn.lock().await);
            assert!(store.contains(&root));
        }
    }
}
