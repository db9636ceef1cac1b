//! A directory's tree, read in any order. Entries do not begin where blobs do, so every so many of
//! them it is noted where one begins: to look for a name, or to go on with a listing, takes a blob
//! or two, also where a directory has a million names, and nothing is kept of them but the notes.

use super::blobs::{Store, lock};
use super::layout::Layout;
use crate::content::Content;
use crate::entry::Entry;
use crate::fetch::{ENTRY, FetchError};
use crate::segments::Segments;
use crate::tree::decode_entry;
use std::sync::Mutex;

/// Entries from one note to the next.
const EVERY: u64 = 128;

/// One directory.
#[derive(Debug)]
pub(super) struct Folder {
    layout: Layout,
    /// By number, and so by name: trees are sorted.
    notes: Mutex<Vec<Note>>,
}

/// Where an entry begins.
#[derive(Clone, Debug)]
struct Note {
    /// How many are before it.
    number: u64,
    /// Its name.
    name: Vec<u8>,
    /// At which byte of the tree.
    at: u64,
}

impl Folder {
    pub(super) fn new(tree: &Content) -> Result<Self, FetchError> {
        Ok(Self {
            layout: Layout::new(tree)?,
            notes: Mutex::default(),
        })
    }

    /// The entries after the first `after`, at most `most`; none at the end. What lies before
    /// damage is handed out first.
    pub(super) fn list<S: Segments>(
        &self,
        store: &Store<S>,
        after: u64,
        most: usize,
    ) -> Result<Vec<Entry>, FetchError> {
        let mut walk = self.from(|note| note.number <= after);
        let mut entries = Vec::new();
        while entries.len() < most {
            let number = walk.number;
            match self.next(&mut walk, store) {
                Ok(Some(entry)) if number >= after => entries.push(entry),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(e) if entries.is_empty() || !e.is_local() => return Err(e),
                Err(_) => break,
            }
        }
        Ok(entries)
    }

    /// The entry of this name.
    pub(super) fn find<S: Segments>(
        &self,
        store: &Store<S>,
        name: &[u8],
    ) -> Result<Option<Entry>, FetchError> {
        let mut walk = self.from(|note| note.name.as_slice() <= name);
        while let Some(entry) = self.next(&mut walk, store)? {
            if entry.name.as_slice() >= name {
                return Ok((entry.name == name).then_some(entry));
            }
        }
        Ok(None)
    }

    /// A walk from the last note that is not too far.
    fn from(&self, not_too_far: impl Fn(&Note) -> bool) -> Walk {
        let notes = lock(&self.notes);
        let behind = notes.partition_point(not_too_far);
        let note = behind.checked_sub(1).map(|last| &notes[last]);
        Walk {
            number: note.map_or(0, |note| note.number),
            at: note.map_or(0, |note| note.at),
            bytes: Vec::new(),
            read: 0,
        }
    }

    fn next<S: Segments>(
        &self,
        walk: &mut Walk,
        store: &Store<S>,
    ) -> Result<Option<Entry>, FetchError> {
        let (number, at) = (walk.number, walk.at);
        let Some(entry) = walk.next(&self.layout, store)? else {
            return Ok(None);
        };
        if number.is_multiple_of(EVERY) {
            let mut notes = lock(&self.notes);
            if notes.last().is_none_or(|last| last.number < number) {
                let name = entry.name.clone();
                notes.push(Note { number, name, at });
            }
        }
        Ok(Some(entry))
    }
}

/// A way through the entries of a tree.
struct Walk {
    /// Entries before the next one.
    number: u64,
    /// Where in the tree the next one begins.
    at: u64,
    bytes: Vec<u8>,
    /// Of these, those before the next one.
    read: usize,
}

impl Walk {
    fn next<S: Segments>(
        &mut self,
        layout: &Layout,
        store: &Store<S>,
    ) -> Result<Option<Entry>, FetchError> {
        loop {
            let rest = &self.bytes[self.read..];
            let decoded = (!rest.is_empty()).then(|| decode_entry(rest));
            match decoded {
                Some(Ok((entry, len))) => {
                    self.read += len;
                    self.at += len as u64;
                    self.number += 1;
                    return Ok(Some(entry));
                }
                Some(Err(e)) if rest.len() > ENTRY => return Err(e.into()),
                None | Some(Err(_)) => {}
            }
            let end = self.at + rest.len() as u64;
            let Some((start, piece)) = layout.piece_at(store, end)? else {
                return match decoded {
                    Some(Err(e)) => Err(e.into()),
                    None | Some(Ok(_)) => Ok(None),
                };
            };
            let blob = store.read(piece)?;
            self.bytes.drain(..self.read);
            self.read = 0;
            let within = usize::try_from(end - start).unwrap_or(usize::MAX);
            self.bytes
                .extend_from_slice(blob.get(within..).ok_or(FetchError::List)?);
        }
    }
}
