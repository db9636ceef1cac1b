//! Who keeps something under a key (Kademlia's provider records): our own keys, which are announced
//! again when a small network grows, and what peers asked us to remember of themselves, bounded in
//! all and per peer. Pure bookkeeping; the task asks Kademlia. `docs/protocol.md` §3.9.

use larder_types::Hash;
use libp2p::PeerId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use super::limits::{
    ANNOUNCE_AGAIN, ANNOUNCE_BATCH, MAX_PROVIDED, MAX_RECORDS, MAX_RECORDS_PER_PEER, RECORD_TTL,
};

/// What a peer provides, as we remember it: until when, who, which key.
type Record = (Instant, PeerId, Hash);

/// Our keys and the records of others.
#[derive(Debug, Default)]
pub(super) struct Providing {
    ours: BTreeSet<Hash>,
    /// Keys still to be announced once more.
    due: VecDeque<Hash>,
    /// When all of ours are due again.
    again: Option<Instant>,
    held: BTreeMap<PeerId, BTreeMap<Hash, Instant>>,
    by_end: BTreeSet<Record>,
}

impl Providing {
    /// Takes a key of ours in; whether there is room. One that is ours already is announced again.
    pub(super) fn provide(&mut self, key: Hash) -> bool {
        self.ours.contains(&key) || self.ours.len() < MAX_PROVIDED && self.ours.insert(key)
    }

    /// Our key no more.
    pub(super) fn stop(&mut self, key: &Hash) {
        self.ours.remove(key);
    }

    /// The network has grown: who has just come may be nearer to our keys than those who were told.
    pub(super) fn grown(&mut self, now: Instant) {
        if !self.ours.is_empty() {
            self.again.get_or_insert(now + ANNOUNCE_AGAIN);
        }
    }

    /// Some of the keys that are to be announced now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Hash> {
        if self.again.is_some_and(|at| at <= now) {
            self.again = None;
            self.due = self.ours.iter().copied().collect();
        }
        let some = self.due.len().min(ANNOUNCE_BATCH);
        let mut keys: Vec<Hash> = self.due.drain(..some).collect();
        keys.retain(|key| self.ours.contains(key));
        keys
    }

    /// Whether what `peer` says of itself is to be remembered. It must have said so itself, which
    /// Kademlia has checked.
    pub(super) fn accept(&mut self, peer: PeerId, key: Hash, now: Instant) -> bool {
        let until = now + RECORD_TTL;
        let full = self.by_end.len() >= MAX_RECORDS;
        let known = self.held.entry(peer).or_default();
        let old = known.get(&key).copied();
        if old.is_none() && (full || known.len() >= MAX_RECORDS_PER_PEER) {
            if known.is_empty() {
                self.held.remove(&peer);
            }
            return false;
        }
        known.insert(key, until);
        if let Some(old) = old {
            self.by_end.remove(&(old, peer, key));
        }
        self.by_end.insert((until, peer, key));
        true
    }

    /// The records that are over by now; they are forgotten here.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<(PeerId, Hash)> {
        let mut over = Vec::new();
        while self.by_end.first().is_some_and(|(end, ..)| *end <= now) {
            let Some((_, peer, key)) = self.by_end.pop_first() else {
                break;
            };
            if let Some(known) = self.held.get_mut(&peer) {
                known.remove(&key);
                if known.is_empty() {
                    self.held.remove(&peer);
                }
            }
            over.push((peer, key));
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn key(n: u64) -> Hash {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        Hash(bytes)
    }

    #[test]
    fn a_peer_fills_its_own_share_only_and_records_end() {
        let (mut providing, now) = (Providing::default(), Instant::now());
        let (greedy, other) = (PeerId::random(), PeerId::random());
        for n in 0..MAX_RECORDS_PER_PEER as u64 {
            assert!(providing.accept(greedy, key(n), now));
        }
        assert!(!providing.accept(greedy, key(u64::MAX), now));
        assert!(
            providing.accept(greedy, key(0), now),
            "known ones are renewed"
        );
        assert!(providing.accept(other, key(0), now));
        let later = now + RECORD_TTL + Duration::from_secs(1);
        assert_eq!(providing.expire(now), []);
        assert_eq!(providing.expire(later).len(), MAX_RECORDS_PER_PEER + 1);
        assert!(providing.accept(greedy, key(u64::MAX), later));
    }

    #[test]
    fn our_keys_are_announced_again_after_the_network_has_grown() {
        let (mut providing, now) = (Providing::default(), Instant::now());
        providing.grown(now);
        let later = now + ANNOUNCE_AGAIN;
        assert_eq!(providing.due(later), [], "nothing is ours");
        assert!(providing.provide(key(1)) && providing.provide(key(2)));
        providing.grown(now);
        providing.grown(later);
        assert_eq!(providing.due(now), []);
        providing.stop(&key(1));
        assert_eq!(providing.due(later), [key(2)], "the first growth counts");
        assert_eq!(providing.due(later), []);
    }
}
