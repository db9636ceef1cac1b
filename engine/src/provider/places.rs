//! Which of its volumes each stored shard lies on. The shell says where it has put one, before it
//! is acknowledged, and where it has moved one to; so a volume that is not there is known by what it
//! held. What lies in the home itself takes no row.

use super::Provider;
use crate::ctx::Ctx;
use crate::rows::{VolumeId, Write};
use larder_types::ShardRoot;
use std::collections::BTreeMap;

/// The shards that do not lie in the home.
#[derive(Debug, Default)]
pub(crate) struct Places(BTreeMap<ShardRoot, VolumeId>);

impl Places {
    pub(crate) fn restore(rows: Vec<(ShardRoot, VolumeId)>) -> Self {
        Self(rows.into_iter().collect())
    }

    pub(crate) fn of(&self, root: &ShardRoot) -> VolumeId {
        self.0.get(root).copied().unwrap_or_default()
    }

    /// Notes where a shard lies; the row that says so, if one changes.
    pub(crate) fn put(&mut self, root: ShardRoot, volume: VolumeId) -> Option<Write> {
        if volume == VolumeId::HOME {
            return self.forget(&root);
        }
        let before = self.0.insert(root, volume);
        (before != Some(volume)).then(|| Write::place(&root, Some(volume)))
    }

    /// The shard is none of ours any more; its row's end, if it had one.
    pub(crate) fn forget(&mut self, root: &ShardRoot) -> Option<Write> {
        self.0.remove(root).map(|_| Write::place(root, None))
    }
}

impl Provider {
    /// Shards have been moved to another volume. Those that were dropped meanwhile stay dropped.
    pub(crate) fn moved(&mut self, ctx: &mut Ctx<'_>, volume: VolumeId, roots: &[ShardRoot]) {
        let stored = roots.iter().filter(|root| self.shards.contains_key(root));
        let rows = stored.filter_map(|root| self.places.put(*root, volume));
        ctx.persist(rows.collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: ShardRoot = ShardRoot([3; 32]);

    #[test]
    fn a_row_is_written_when_a_shard_leaves_the_home_and_ends_when_it_comes_back() {
        let mut places = Places::default();
        assert_eq!(places.put(ROOT, VolumeId::HOME), None);
        assert_eq!(places.of(&ROOT), VolumeId::HOME);
        let there = Some(Write::place(&ROOT, Some(VolumeId(2))));
        assert_eq!(places.put(ROOT, VolumeId(2)), there);
        assert_eq!(places.put(ROOT, VolumeId(2)), None, "it says so already");
        assert_eq!(places.of(&ROOT), VolumeId(2));
        let back = Some(Write::place(&ROOT, None));
        assert_eq!(places.put(ROOT, VolumeId::HOME), back);
        places.put(ROOT, VolumeId(2));
        assert_eq!(places.forget(&ROOT), back);
        assert_eq!(places.forget(&ROOT), None);
    }
}
