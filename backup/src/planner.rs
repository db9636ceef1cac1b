//! Reads a snapshot's trees into a [`Plan`]. What cannot be read spoils its directory or file and
//! nothing else.

use crate::content::{Content, Piece};
use crate::entry::{Entry, Kind};
use crate::exclude::Globs;
use crate::fetch::{EntryCursor, FetchError, PieceCursor, Source};
use crate::plan::{Plan, Planned, PlannedPiece, ROWS};
use crate::segments::Segments;
use crate::walk::PathBytes;
use std::collections::HashMap;

/// Entries of a directory held at a time.
const WINDOW: usize = 512;

/// What of a snapshot is wanted.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// If any: only what matches, with all below it.
    pub(crate) include: Globs,
    /// Never.
    pub(crate) exclude: Globs,
}

/// A plan under construction.
#[derive(Debug)]
pub(crate) struct Planner<S: Segments> {
    source: Source<S>,
    plan: Plan,
    wanted: Wanted,
    /// The absolute path in the snapshot, for globs.
    path: PathBytes,
    /// The path below the target, each name behind a `/`.
    below: PathBytes,
    last: i64,
    /// Directories that are only made if something below them is.
    maybe: Vec<Planned>,
    entries: Vec<Planned>,
    unplaced: Vec<(i64, u64, Piece)>,
    pieces: Vec<PlannedPiece>,
    problems: HashMap<i64, String>,
}

impl<S: Segments> Planner<S> {
    /// `path` is where in the snapshot the plan begins.
    pub(crate) fn new(source: Source<S>, plan: Plan, wanted: Wanted, path: PathBytes) -> Self {
        Self {
            source,
            plan,
            wanted,
            path,
            below: PathBytes::default(),
            last: 0,
            maybe: Vec::new(),
            entries: Vec::new(),
            unplaced: Vec::new(),
            pieces: Vec::new(),
            problems: HashMap::new(),
        }
    }

    /// Plans all that `tree` holds; also why that is not all, if its folder cannot be listed to
    /// its end.
    pub(crate) fn plan_tree(
        mut self,
        tree: &Content,
    ) -> Result<(Plan, Option<String>), FetchError> {
        let all = self.wanted.include.is_empty();
        let cut = match self.tree(tree, all) {
            Ok(()) => None,
            Err(e) if e.is_local() && self.last > 0 => Some(unlistable(&e)),
            Err(e) => return Err(e),
        };
        Ok((self.finish()?, cut))
    }

    /// Plans one entry.
    pub(crate) fn plan_entry(
        mut self,
        entry: &Entry,
    ) -> Result<(Plan, Option<String>), FetchError> {
        self.entry(entry, true)?;
        Ok((self.finish()?, None))
    }

    fn tree(&mut self, tree: &Content, included: bool) -> Result<(), FetchError> {
        let mut cursor = EntryCursor::new(tree)?;
        loop {
            let entries = cursor.next(&mut self.source, WINDOW)?;
            if entries.is_empty() {
                return Ok(());
            }
            self.source.look_ahead(&trees(&entries))?;
            for entry in entries {
                self.entry(&entry, included)?;
            }
        }
    }

    fn entry(&mut self, entry: &Entry, included: bool) -> Result<(), FetchError> {
        let marks = (self.path.enter(&entry.name), self.below.enter(&entry.name));
        let (path, is_dir) = (self.path.as_path(), entry.kind.is_dir());
        let included = included || self.wanted.include.matches(path, is_dir);
        if !self.wanted.exclude.matches(path, is_dir) {
            self.wanted_entry(entry, included)?;
        }
        self.path.leave(marks.0);
        self.below.leave(marks.1);
        Ok(())
    }

    fn wanted_entry(&mut self, entry: &Entry, included: bool) -> Result<(), FetchError> {
        self.last += 1;
        let no = self.last;
        let planned = Planned::of(no, self.below.relative().to_vec(), entry);
        if included {
            self.entries.append(&mut self.maybe);
            self.entries.push(planned);
        } else if entry.kind.is_dir() {
            self.maybe.push(planned);
        }
        let read = match &entry.kind {
            Kind::Dir(tree) => self.tree(tree, included),
            Kind::File(content) if included => self.file(no, content),
            Kind::File(_)
            | Kind::Symlink(_)
            | Kind::Fifo
            | Kind::CharDevice(_)
            | Kind::BlockDevice(_) => Ok(()),
        };
        match read {
            Ok(()) => {}
            Err(e) if e.is_local() => {
                self.entries.append(&mut self.maybe);
                let problem = if entry.kind.is_dir() {
                    unlistable(&e)
                } else {
                    e.to_string()
                };
                self.problems.entry(no).or_insert(problem);
            }
            Err(e) => return Err(e),
        }
        self.maybe.retain(|m| m.no != no);
        self.enter(ROWS)
    }

    fn file(&mut self, no: i64, content: &Content) -> Result<(), FetchError> {
        let (mut pieces, mut at) = (PieceCursor::new(content)?, 0);
        while let Some(piece) = pieces.next(&mut self.source)? {
            self.unplaced.push((no, at, piece));
            at += u64::from(piece.len);
            if self.unplaced.len() >= ROWS {
                self.enter(ROWS)?;
            }
        }
        Ok(())
    }

    /// Writes what has gathered, if there is at least `least` of anything.
    fn enter(&mut self, least: usize) -> Result<(), FetchError> {
        if self
            .entries
            .len()
            .max(self.unplaced.len())
            .max(self.problems.len())
            < least
        {
            return Ok(());
        }
        let ids: Vec<_> = self.unplaced.iter().map(|(_, _, p)| p.id).collect();
        let places = self.source.locate(&ids)?;
        for (file, at, piece) in self.unplaced.drain(..) {
            match places.get(&piece.id) {
                Some(place) => self.pieces.push(PlannedPiece {
                    row: 0,
                    place: *place,
                    piece,
                    file,
                    at,
                }),
                None => {
                    let unknown = FetchError::Unknown(piece.id).to_string();
                    self.problems.entry(file).or_insert(unknown);
                }
            }
        }
        let problems: Vec<_> = self.problems.drain().collect();
        let work = async {
            self.plan.enter(&self.entries, &self.pieces).await?;
            self.plan.spoil(&problems).await
        };
        self.source.wait(work)??;
        self.entries.clear();
        self.pieces.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Plan, FetchError> {
        self.enter(0)?;
        self.source.wait(self.plan.seal())??;
        Ok(self.plan)
    }
}

/// What is said of a folder whose tree cannot be read to its end.
fn unlistable(e: &FetchError) -> String {
    format!("what is in this folder cannot all be listed: {e}")
}

/// The blobs that the directories among `entries` are read from.
fn trees(entries: &[Entry]) -> Vec<larder_types::BlobId> {
    entries
        .iter()
        .filter_map(|e| match &e.kind {
            Kind::Dir(tree) => tree.pieces(),
            Kind::File(_)
            | Kind::Symlink(_)
            | Kind::Fifo
            | Kind::CharDevice(_)
            | Kind::BlockDevice(_) => None,
        })
        .flatten()
        .map(|p| p.id)
        .collect()
}
