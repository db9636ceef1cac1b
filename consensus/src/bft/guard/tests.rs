//! Which starts are allowed, over real folders.

use super::*;
use std::sync::Mutex;

const NODE: NodeId = NodeId([1; 32]);
const NAME: [u8; 16] = [7; 16];

#[derive(Default)]
struct Mark(Mutex<Option<InUse>>);

impl KeyMark for Mark {
    fn read(&self) -> io::Result<Option<InUse>> {
        Ok(*self.0.lock().unwrap())
    }

    fn write(&self, mark: &InUse) -> io::Result<()> {
        *self.0.lock().unwrap() = Some(*mark);
        Ok(())
    }
}

struct Place {
    _root: tempfile::TempDir,
    dir: PathBuf,
    mark: Mark,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("consensus");
        Self {
            _root: root,
            dir,
            mark: Mark::default(),
        }
    }

    fn open(&self, head: u64) -> Result<PathBuf, GuardError> {
        open(&self.dir, &NODE, &self.mark, head, NAME)
    }

    /// Votes at a height, as the engine's log has it.
    fn vote(&self, height: u64) {
        let mut log = wal::Log::open(self.dir.join(WAL)).unwrap();
        log.reset(height).unwrap();
        log.append(b"a vote").unwrap();
        log.flush().unwrap();
    }
}

#[test]
fn a_first_start_makes_a_record_and_marks_the_key() {
    let place = Place::new();
    place.open(0).unwrap();
    let mark = place.mark.read().unwrap();
    let since = 1;
    assert_eq!(
        mark,
        Some(InUse {
            since,
            record: NAME
        })
    );
    place.vote(1);
    place.open(0).unwrap();
    place.open(1).unwrap();
    assert_eq!(place.mark.read().unwrap(), mark, "the mark stays");
}

#[test]
fn a_marked_key_without_its_record_is_refused() {
    let place = Place::new();
    place.open(4).unwrap();
    place.vote(5);
    let refused = |place: &Place| {
        let error = place.open(5).unwrap_err();
        assert!(error.to_string().contains("new key"), "{error}");
        assert!(matches!(error, GuardError::WipedValidator { since: 5, .. }));
    };
    // Only the log is gone.
    fs::remove_file(place.dir.join(WAL)).unwrap();
    refused(&place);
    // The whole folder.
    fs::remove_dir_all(&place.dir).unwrap();
    refused(&place);
    assert!(!place.dir.exists(), "a refusal makes no record");
    // Another record of the same key, made on another machine.
    create(&place.dir, &NODE, [8; 16]).unwrap();
    refused(&place);
    // Another key's.
    create(&place.dir, &NodeId([2; 32]), NAME).unwrap();
    refused(&place);
}

#[test]
fn a_key_put_back_without_its_mark_goes_on_with_its_record() {
    let place = Place::new();
    place.open(4).unwrap();
    place.vote(5);
    *place.mark.0.lock().unwrap() = None;
    place.open(4).unwrap();
    assert_eq!(place.mark.read().unwrap().unwrap().record, NAME);
    assert_eq!(voted(&place.dir.join(WAL)).unwrap(), 5, "votes are kept");
}

#[test]
fn a_new_key_does_not_take_over_the_old_ones_votes() {
    let place = Place::new();
    place.open(4).unwrap();
    place.vote(5);
    let new = Mark::default();
    let log = open(&place.dir, &NodeId([2; 32]), &new, 4, [9; 16]).unwrap();
    assert_eq!(voted(&log).unwrap(), 0);
}

#[test]
fn a_ledger_older_than_the_votes_must_follow_first() {
    let place = Place::new();
    place.open(4).unwrap();
    place.vote(9);
    let error = place.open(7).unwrap_err();
    assert!(error.to_string().contains("up to height 8"), "{error}");
    assert!(matches!(error, GuardError::Behind { voted: 9, head: 7 }));
    place.open(8).unwrap();
    place.open(30).unwrap();
}

#[test]
fn a_damaged_record_is_refused() {
    let place = Place::new();
    place.open(0).unwrap();
    fs::write(place.dir.join(RECORD), b"short").unwrap();
    assert!(matches!(place.open(0), Err(GuardError::Io { .. })));
}
