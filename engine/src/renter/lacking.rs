//! The segments that lack positions, in the order in which they are to be repaired. Kept up as
//! positions come and go, so that no step looks at all segments.

use crate::risk::Risk;
use larder_types::{Epoch, SegmentId, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Segments with positions that nobody holds.
#[derive(Debug, Default)]
pub(crate) struct Lacking {
    entries: BTreeMap<SegmentId, Entry>,
    ready: BTreeSet<(Risk, SegmentId)>,
    resting: BTreeSet<(Time, SegmentId)>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The epoch in which the first of its positions was lost.
    since: Epoch,
    /// Its place in the order, if it is to be repaired now.
    risk: Option<Risk>,
    /// A repair has failed: not before then.
    rests_until: Option<Time>,
    /// Repairs that failed in a row.
    fails: u32,
    /// Somebody does not want to wait.
    hurried: bool,
}

impl Lacking {
    /// All of them.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &SegmentId> {
        self.entries.keys()
    }

    /// Since which epoch a segment lacks something.
    pub(crate) fn since(&self, id: &SegmentId) -> Option<Epoch> {
        self.entries.get(id).map(|e| e.since)
    }

    /// A segment lacks something since `since`; with a risk it is to be repaired when it is its
    /// turn.
    pub(crate) fn note(&mut self, id: SegmentId, since: Epoch, risk: Option<Risk>) {
        let entry = self.entries.entry(id).or_insert(Entry {
            since,
            risk: None,
            rests_until: None,
            fails: 0,
            hurried: false,
        });
        if let Some(old) = std::mem::replace(&mut entry.risk, risk) {
            self.ready.remove(&(old, id));
        }
        if let (Some(risk), None) = (risk, entry.rests_until) {
            self.ready.insert((risk, id));
        }
    }

    /// A segment is whole, or is no more.
    pub(crate) fn forget(&mut self, id: &SegmentId) {
        let Some(entry) = self.entries.remove(id) else {
            return;
        };
        if let Some(risk) = entry.risk {
            self.ready.remove(&(risk, *id));
        }
        if let Some(until) = entry.rests_until {
            self.resting.remove(&(until, *id));
        }
    }

    /// Which one is next.
    pub(crate) fn first(&self) -> Option<SegmentId> {
        self.ready.first().map(|(_, id)| *id)
    }

    /// Whether a segment is to be repaired though it could wait.
    pub(crate) fn is_hurried(&self, id: &SegmentId) -> bool {
        self.entries.get(id).is_some_and(|e| e.hurried)
    }

    /// All that lack something now are to be repaired, and none rests.
    pub(crate) fn hurry(&mut self) {
        self.entries.values_mut().for_each(|e| e.hurried = true);
        self.wake_all();
    }

    /// Repairs of a segment that failed in a row.
    pub(crate) fn fails(&self, id: &SegmentId) -> u32 {
        self.entries.get(id).map_or(0, |e| e.fails)
    }

    /// A repair failed.
    pub(crate) fn failed(&mut self, id: &SegmentId) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.fails = entry.fails.saturating_add(1);
        }
    }

    /// Not before `until`.
    pub(crate) fn rest(&mut self, id: &SegmentId, until: Time) {
        let Some(entry) = self.entries.get_mut(id) else {
            return;
        };
        if let Some(risk) = entry.risk {
            self.ready.remove(&(risk, *id));
        }
        if let Some(old) = entry.rests_until.replace(until) {
            self.resting.remove(&(old, *id));
        }
        self.resting.insert((until, *id));
    }

    /// Those whose rest is over come back.
    pub(crate) fn wake(&mut self, now: Time) {
        while let Some((until, id)) = self.resting.first().copied()
            && until <= now
        {
            self.wake_one(until, id);
        }
    }

    /// Something has changed for all: nobody rests any more.
    pub(crate) fn wake_all(&mut self) {
        while let Some((until, id)) = self.resting.first().copied() {
            self.wake_one(until, id);
        }
    }

    fn wake_one(&mut self, until: Time, id: SegmentId) {
        self.resting.remove(&(until, id));
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.rests_until = None;
            if let Some(risk) = entry.risk {
                self.ready.insert((risk, id));
            }
        }
    }

    /// When the next rest is over.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.resting.first().map(|(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn risk(margin: i32) -> Option<Risk> {
        Some(Risk {
            background: false,
            margin,
        })
    }

    #[test]
    fn the_riskiest_first_and_rest_is_kept() {
        let [a, b] = [SegmentId([1; 32]), SegmentId([2; 32])];
        let mut lacking = Lacking::default();
        lacking.note(a, 3, risk(2));
        lacking.note(b, 4, risk(1));
        assert_eq!(lacking.first(), Some(b));
        lacking.rest(&b, Time(10));
        lacking.note(b, 9, risk(0));
        assert_eq!(
            (lacking.first(), lacking.since(&b)),
            (Some(a), Some(4)),
            "it rests, and lacks since it first did"
        );
        assert_eq!(lacking.deadline(), Some(Time(10)));
        lacking.wake(Time(10));
        assert_eq!((lacking.first(), lacking.deadline()), (Some(b), None));
        lacking.note(b, 9, None);
        assert_eq!(lacking.first(), Some(a));
        lacking.rest(&a, Time(99));
        lacking.hurry();
        assert_eq!((lacking.first(), lacking.is_hurried(&b)), (Some(a), true));
        lacking.forget(&a);
        assert_eq!((lacking.first(), lacking.ids().count()), (None, 1));
    }
}
