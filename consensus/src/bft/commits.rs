//! The votes that made the newest blocks final, each by itself: what the engine shows a validator that
//! was away for a while. Whoever was away for longer follows by certificates, which the ledger's
//! owner keeps for ever. A file for each height, in the record of votes; none is worth an fsync, as
//! others have them too. `docs/protocol.md` §3.8.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folder within the record of votes.
const DIR: &str = "commits";
/// Heights that are kept: some 260 bytes for each and validator, 17 MB for 64 validators.
const KEPT: u64 = 1024;

/// The votes that are kept.
#[derive(Debug)]
pub(super) struct Commits {
    dir: PathBuf,
    heights: BTreeSet<u64>,
}

impl Commits {
    /// Those in the record at `dir`, up to the ledger's head.
    pub(super) fn open(dir: &Path, head: u64) -> io::Result<Self> {
        let dir = dir.join(DIR);
        fs::create_dir_all(&dir)?;
        let mut heights = BTreeSet::new();
        for entry in fs::read_dir(&dir)? {
            let name = entry?.file_name();
            heights.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        heights.retain(|height| *height <= head);
        Ok(Self { dir, heights })
    }

    /// Keeps a height's, and forgets the oldest.
    pub(super) fn put(&mut self, height: u64, bytes: &[u8]) -> io::Result<()> {
        fs::write(self.path(height), bytes)?;
        self.heights.insert(height);
        while let Some(oldest) = self.heights.first().copied() {
            if oldest.saturating_add(KEPT) > height {
                break;
            }
            self.heights.remove(&oldest);
            fs::remove_file(self.path(oldest))?;
        }
        Ok(())
    }

    /// The lowest height from which on all are here up to `head`; the one after it if none is.
    pub(super) fn first(&self, head: u64) -> u64 {
        let mut first = head.saturating_add(1);
        for height in self.heights.range(..=head).rev() {
            if height.saturating_add(1) != first {
                break;
            }
            first = *height;
        }
        first
    }

    /// Where a height's are.
    pub(super) fn path(&self, height: u64) -> PathBuf {
        self.dir.join(height.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_heights_are_kept_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut commits = Commits::open(dir.path(), 0).unwrap();
        assert_eq!(commits.first(0), 1, "none");
        for height in 1..=KEPT + 5 {
            commits.put(height, &height.to_le_bytes()).unwrap();
        }
        assert_eq!(commits.first(KEPT + 5), 6);
        assert!(!commits.path(5).exists());
        let again = Commits::open(dir.path(), KEPT + 5).unwrap();
        assert_eq!(again.heights, commits.heights);
        // A gap: what is below it cannot be shown in order.
        commits.put(KEPT + 7, b"later").unwrap();
        assert_eq!(commits.first(KEPT + 7), KEPT + 7);
        // Above the ledger's head there is nothing.
        assert_eq!(Commits::open(dir.path(), 9).unwrap().first(9), 8);
    }
}
