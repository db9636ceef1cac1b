//! Marks on snapshots: forgotten, brought back, tagged. A mark is signed by the account's admin key,
//! which rests on no device: who has a device can add snapshots and take none away. Marks are only ever
//! added; what they come to is the same in any order. `docs/protocol.md` §3.9.

use crate::snapshot::SnapshotId;
use larder_keys::{Signer, Tag, verify};
use larder_types::layout::Layout;
use larder_types::{Epoch, GenesisHash, SegmentId, Signature, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a mark is signed as.
pub const MARK: Tag = Tag("snapshot mark");

/// What a mark says of its snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Say {
    /// It is hidden. From epoch `until` on it cannot be brought back, and what only it needs may go.
    Forget {
        /// The epoch.
        until: Epoch,
    },
    /// It is shown as before.
    Undelete,
    /// These are its tags now.
    Tags(Vec<String>),
    /// Of no snapshot (zeros): these segments hold nothing that is needed, and go. Whoever recovers does
    /// not look for them.
    Dropped(Vec<SegmentId>),
}

/// A mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// On which snapshot.
    pub snapshot: SnapshotId,
    /// Of two marks of one snapshot the higher number counts: one above those that were known.
    pub no: u64,
    /// The ledger's epoch when it was made.
    pub epoch: Epoch,
    /// When, by the node's clock. It is only shown.
    pub time: Time,
    /// What it says.
    pub say: Say,
}

/// A mark and who answers for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedMark {
    /// The mark.
    pub mark: Mark,
    /// By the admin key.
    pub sig: Signature,
}

/// Whose marks count, and on which network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority {
    /// The account's admin key.
    pub admin: [u8; 32],
    /// The network.
    pub genesis: GenesisHash,
}

/// What the marks on a snapshot come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether it is forgotten.
    pub forgotten: Option<Forgotten>,
    /// Its tags, if they were changed.
    pub tags: Option<Vec<String>>,
    /// The highest number of its marks.
    pub no: u64,
}

/// A snapshot that is hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// When, by the node's clock.
    pub time: Time,
    /// The ledger's epoch then.
    pub since: Epoch,
    /// From this epoch on it cannot be brought back.
    pub until: Epoch,
}

impl Forgotten {
    /// Whether it can still be brought back. It counts the ledger's epochs, and no clock of this
    /// machine's.
    #[must_use]
    pub const fn is_locked(&self, now: Epoch) -> bool {
        now < self.until
    }
}

impl Mark {
    /// What is signed: snapshot\[32\] ‖ no u64 ‖ epoch u32 ‖ time u64 ms ‖ kind u8 ‖ its fields.
    #[must_use]
    pub fn to_layout(&self) -> Vec<u8> {
        let layout = Layout::new()
            .fixed(self.snapshot.0)
            .u64(self.no)
            .u32(self.epoch)
            .u64(self.time.0);
        match &self.say {
            Say::Forget { until } => layout.u8(0).u32(*until),
            Say::Undelete => layout.u8(1),
            Say::Tags(tags) => {
                let count = u32::try_from(tags.len()).unwrap_or(u32::MAX);
                tags.iter().fold(layout.u8(2).u32(count), Layout::var)
            }
            Say::Dropped(ids) => {
                let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
                let ids = ids.iter().map(|id| id.0);
                ids.fold(layout.u8(3).u32(count), Layout::fixed)
            }
        }
        .finish()
    }

    /// The segments that it says are gone.
    #[must_use]
    pub fn dropped(&self) -> &[SegmentId] {
        match &self.say {
            Say::Dropped(ids) => ids,
            Say::Forget { .. } | Say::Undelete | Say::Tags(_) => &[],
        }
    }

    /// Signs it with the admin key.
    #[must_use]
    pub fn sign(self, admin: &Signer, genesis: &GenesisHash) -> SignedMark {
        let sig = admin.sign(MARK, genesis, &self.to_layout());
        SignedMark { mark: self, sig }
    }
}

impl Authority {
    /// Whether the admin key signed it for this network.
    #[must_use]
    pub fn signed(&self, it: &SignedMark) -> bool {
        let layout = it.mark.to_layout();
        verify(&self.admin, MARK, &self.genesis, &layout, &it.sig)
    }
}

/// What `marks` come to, in whatever order they are. Of two of one number and kind the one that keeps
/// more counts: bringing back before forgetting, the later delay, the longer list of tags. A snapshot is
/// not brought back once its delay is over: what it needs may be gone.
#[must_use]
pub fn standings(marks: impl IntoIterator<Item = Mark>) -> BTreeMap<SnapshotId, Standing> {
    let mut marks: Vec<Mark> = marks.into_iter().collect();
    marks.sort_by_key(|mark| (mark.no, keeps(mark)));
    let mut standings: BTreeMap<SnapshotId, Standing> = BTreeMap::new();
    for mark in marks {
        standings.entry(mark.snapshot).or_default().take(mark);
    }
    standings
}

/// How much a mark keeps, so that the one that keeps most is the last.
fn keeps(mark: &Mark) -> (u8, u64, Vec<String>) {
    match &mark.say {
        Say::Forget { until } => (0, u64::from(*until), Vec::new()),
        Say::Undelete => (1, 0, Vec::new()),
        Say::Tags(tags) => (2, tags.len() as u64, tags.clone()),
        Say::Dropped(_) => (3, 0, Vec::new()),
    }
}

impl Standing {
    fn take(&mut self, mark: Mark) {
        self.no = mark.no;
        match mark.say {
            Say::Forget { until } => {
                self.forgotten = Some(Forgotten {
                    time: mark.time,
                    since: mark.epoch,
                    until,
                });
            }
            Say::Undelete if self.forgotten.is_some_and(|f| !f.is_locked(mark.epoch)) => {}
            Say::Undelete => self.forgotten = None,
            Say::Tags(tags) => self.tags = Some(tags),
            Say::Dropped(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_types::BlobId;

    const NET: GenesisHash = GenesisHash([9; 32]);

    fn mark(no: u64, epoch: Epoch, say: Say) -> Mark {
        Mark {
            snapshot: BlobId([1; 32]),
            no,
            epoch,
            time: Time(no),
            say,
        }
    }

    fn forgotten(marks: &[Mark]) -> bool {
        let come_to = |marks: Vec<Mark>| standings(marks).remove(&BlobId([1; 32]));
        let standing = come_to(marks.to_vec());
        assert_eq!(standing, come_to(marks.iter().rev().cloned().collect()));
        standing.is_some_and(|s| s.forgotten.is_some())
    }

    #[test]
    fn the_highest_number_counts_in_any_order() {
        let (forget, back) = (Say::Forget { until: 20 }, Say::Undelete);
        assert!(!forgotten(&[]));
        assert!(forgotten(&[mark(1, 5, forget.clone())]));
        assert!(!forgotten(&[
            mark(1, 5, forget.clone()),
            mark(2, 19, back.clone())
        ]));
        assert!(forgotten(&[
            mark(1, 5, forget.clone()),
            mark(2, 6, back.clone()),
            mark(3, 7, forget.clone())
        ]));
        let both = [mark(1, 5, forget.clone()), mark(1, 5, back)];
        assert!(!forgotten(&both), "what keeps the data counts");
        let tagged = mark(4, 9, Say::Tags(vec!["a".into()]));
        assert!(forgotten(&[mark(3, 7, forget), tagged]));
    }

    #[test]
    fn what_may_be_gone_is_not_brought_back() {
        let forget = mark(1, 5, Say::Forget { until: 20 });
        assert!(!forgotten(&[forget.clone(), mark(2, 19, Say::Undelete)]));
        assert!(forgotten(&[forget, mark(2, 20, Say::Undelete)]));
    }

    #[test]
    fn only_the_admin_key_marks() {
        let (admin, device) = (Signer::from_seed(&[1; 32]), Signer::from_seed(&[2; 32]));
        let authority = Authority {
            admin: admin.public(),
            genesis: NET,
        };
        for say in [
            Say::Forget { until: 3 },
            Say::Undelete,
            Say::Tags(vec!["x".into()]),
        ] {
            let good = mark(1, 1, say.clone()).sign(&admin, &NET);
            assert!(authority.signed(&good));
            assert!(!authority.signed(&mark(1, 1, say.clone()).sign(&device, &NET)));
            let elsewhere = mark(1, 1, say).sign(&admin, &GenesisHash([8; 32]));
            assert!(!authority.signed(&elsewhere));
            let mut moved = good;
            moved.mark.snapshot = BlobId([2; 32]);
            assert!(!authority.signed(&moved));
        }
    }

    #[test]
    fn layouts_tell_everything_apart() {
        let tags = |tags: &[&str]| Say::Tags(tags.iter().map(|t| (*t).to_owned()).collect());
        let says = [
            Say::Forget { until: 1 },
            Say::Forget { until: 2 },
            Say::Undelete,
            tags(&[]),
            tags(&["ab", "c"]),
            tags(&["a", "bc"]),
            tags(&["abc"]),
            Say::Dropped(Vec::new()),
            Say::Dropped(vec![SegmentId([1; 32])]),
        ];
        let layouts: std::collections::BTreeSet<_> = says
            .iter()
            .map(|say| mark(1, 1, say.clone()).to_layout())
            .collect();
        assert_eq!(layouts.len(), says.len());
    }
}
