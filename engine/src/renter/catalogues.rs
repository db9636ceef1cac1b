//! Catalogues: segments that list other segments, so that a head stays small. The shell seals and
//! stores them; here is when one is due, what it is to list, and what follows once it is safe.
//! `docs/protocol.md` §3.9.

use super::Renter;
use super::heads::entry;
use crate::ctx::Ctx;
use crate::head::SegmentEntry;
use crate::io::Notice;
use crate::rows::Write;
use larder_types::{SegmentId, codec};
use std::collections::BTreeSet;

/// A catalogue is due when what a head names takes more bytes than this: half of a head.
const CATALOGUE_ABOVE: usize = 32 << 10;
/// Catalogues are replaced by one when there are more than this, …
const MAX_CATALOGUES: usize = 64;
/// … or when they alone take more bytes than this: three of a wide code's.
const CATALOGUES_ROOM: usize = 12 << 10;

impl Renter {
    /// Asks for a catalogue, once until one has come.
    pub(super) fn want_catalogue(&mut self, ctx: &mut Ctx<'_>, nameable: &[SegmentEntry]) {
        let plain = nameable.iter().any(|e| !e.catalogue);
        let due = plain && bytes(nameable.iter()) > CATALOGUE_ABOVE;
        let crossed = due && !self.heads.catalogue_wanted;
        self.heads.catalogue_wanted = due;
        if crossed {
            ctx.tell(Notice::CatalogueWanted);
        }
    }

    /// What the next catalogue is to list.
    pub(crate) fn unlisted(&self) -> Vec<SegmentEntry> {
        let nameable = self.nameable();
        let catalogues = || nameable.iter().filter(|e| e.catalogue);
        if catalogues().count() <= MAX_CATALOGUES && bytes(catalogues()) <= CATALOGUES_ROOM {
            let dropped = |e: &SegmentEntry| {
                let row = self.segments.get(&e.manifest.segment);
                row.is_some_and(|row| row.dropped)
            };
            let plain = nameable.into_iter().filter(|e| !e.catalogue);
            return plain.filter(|e| !dropped(e)).collect();
        }
        self.segments
            .iter()
            .filter(|(_, row)| row.of.is_none() && !row.dropped)
            .filter(|(id, row)| row.listed || self.is_nameable(id, row))
            .filter_map(|(id, row)| entry(*id, row))
            .collect()
    }

    /// A catalogue is durable: what it lists need not stand in heads any more. Catalogues that it
    /// lists are replaced by it.
    pub(crate) fn listed(
        &mut self,
        ctx: &mut Ctx<'_>,
        catalogue: &SegmentId,
        segments: &[SegmentId],
    ) {
        let durable = |id: &SegmentId| self.segments.get(id).filter(|r| self.is_nameable(id, r));
        if durable(catalogue).is_none_or(|row| row.roots.is_empty()) {
            return;
        }
        let listed: BTreeSet<&SegmentId> = segments.iter().filter(|id| *id != catalogue).collect();
        let mut rows = Vec::new();
        for id in listed {
            if let Some(row) = self.segments.get_mut(id) {
                row.listed = true;
                self.heads.named.remove(id);
                rows.push(Write::segment(id, Some(row)));
            }
        }
        if let Some(row) = self.segments.get_mut(catalogue) {
            (row.catalogue, row.meta, row.listed) = (true, true, false);
            rows.push(Write::segment(catalogue, Some(row)));
        }
        self.heads.named.insert(*catalogue);
        rows.push(self.heads.row());
        ctx.persist(rows);
        self.heads.catalogue_wanted = false;
    }
}

fn bytes<'a>(entries: impl Iterator<Item = &'a SegmentEntry>) -> usize {
    entries.map(|entry| codec::encode(entry).len()).sum()
}
