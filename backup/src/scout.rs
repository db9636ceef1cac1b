//! What a backup would read, counted beforehand: for the price, and for the progress' percentage.

use crate::ignores::Ignores;
use crate::walk::{PathBytes, Roots, Walker, is_pseudo, open_dir, open_dir_above, open_root, stat};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Stat};

/// What a backup of `roots` would read, without reading it: files and their bytes.
pub(crate) fn estimate(
    walker: &Walker,
    roots: &Roots,
    go_on: &dyn Fn() -> bool,
) -> Option<(u64, u64)> {
    let mut scout = Scout {
        walker,
        go_on,
        path: PathBytes::default(),
        ignores: Ignores::default(),
        sum: (0, 0),
    };
    let dir = open_root().ok()?;
    scout.roots(&dir, roots)?;
    Some(scout.sum)
}

/// Counts; `None` as soon as nobody wants to know any more.
struct Scout<'a> {
    walker: &'a Walker,
    go_on: &'a dyn Fn() -> bool,
    path: PathBytes,
    ignores: Ignores,
    sum: (u64, u64),
}

impl Scout<'_> {
    fn roots(&mut self, dir: &OwnedFd, roots: &Roots) -> Option<()> {
        if roots.whole {
            return self.directory(dir);
        }
        for (name, below) in &roots.children {
            let mark = self.path.enter(name);
            if !below.whole {
                if let Ok(dir) = open_dir_above(dir, name) {
                    self.roots(&dir, below)?;
                }
            } else if let Ok(stat) = stat(dir, name) {
                self.entry(dir, name, &stat, stat.st_dev)?;
            }
            self.path.leave(mark);
        }
        Some(())
    }

    fn directory(&mut self, dir: &OwnedFd) -> Option<()> {
        let (Ok(here), Ok(listed)) = (rustix::fs::fstat(dir), self.walker.names(dir)) else {
            return Some(());
        };
        let ignores = listed.has_ignores();
        if ignores {
            // What is wrong with it the backup says.
            let _wrong = self.ignores.enter(dir, self.path.as_path());
        }
        for name in listed.names.iter() {
            let mark = self.path.enter(name);
            if let Ok(stat) = stat(dir, name)
                && (self.walker)
                    .refuses(self.path.as_path(), &stat, &self.ignores)
                    .is_none()
            {
                self.entry(dir, name, &stat, here.st_dev)?;
            }
            self.path.leave(mark);
        }
        if ignores {
            self.ignores.leave();
        }
        Some(())
    }

    fn entry(&mut self, dir: &OwnedFd, name: &[u8], stat: &Stat, device: u64) -> Option<()> {
        if !(self.go_on)() {
            return None;
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                self.sum.0 += 1;
                self.sum.1 += u64::try_from(stat.st_size).unwrap_or(0);
                Some(())
            }
            FileType::Directory => match open_dir(dir, name) {
                Ok(_) if self.walker.is_own(stat) => Some(()),
                Ok(below) if stat.st_dev == device || !is_pseudo(&below) => self.directory(&below),
                Ok(_) | Err(_) => Some(()),
            },
            FileType::Symlink
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Some(()),
        }
    }
}
