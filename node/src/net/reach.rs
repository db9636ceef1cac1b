//! Attempts to reach peers: known TCP addresses first, then the others, then those that Kademlia
//! finds, each step once. Pure bookkeeping; the task dials and looks up.

use libp2p::kad::QueryId;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeMap;
use tokio::sync::oneshot;

use super::NetError;
use super::book::Known;
use super::identity::node_id;
use super::limits::{MAX_REACHING, MAX_WAITERS};

/// Who waits for a peer to be reached.
pub(super) type Waiter = oneshot::Sender<Result<(), NetError>>;

/// What to do next about a peer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Dial these addresses, all at once.
    Dial(Vec<Multiaddr>),
    /// Ask Kademlia.
    LookUp,
    /// Nothing is left to try.
    GiveUp,
}

/// Where an attempt stands.
#[derive(Debug)]
enum Stage {
    /// A dial is under way: ours, or (without an id) one that a protocol began.
    Dialing(Option<ConnectionId>),
    /// Kademlia is being asked.
    LookingUp(Option<QueryId>),
}

#[derive(Debug)]
struct Attempt {
    stage: Stage,
    /// Address groups still to be dialled, next one last.
    left: Vec<Vec<Multiaddr>>,
    looked_up: bool,
    waiters: Vec<Waiter>,
}

impl Attempt {
    fn next(&mut self) -> Step {
        if let Some(addrs) = self.left.pop() {
            self.stage = Stage::Dialing(None);
            return Step::Dial(addrs);
        }
        if !self.looked_up {
            self.looked_up = true;
            self.stage = Stage::LookingUp(None);
            return Step::LookUp;
        }
        Step::GiveUp
    }
}

/// All attempts under way.
#[derive(Debug, Default)]
pub(super) struct Reaching {
    attempts: BTreeMap<PeerId, Attempt>,
}

fn groups(known: Known) -> Vec<Vec<Multiaddr>> {
    [known.other, known.tcp]
        .into_iter()
        .filter(|group| !group.is_empty())
        .collect()
}

impl Reaching {
    /// Joins the attempt under way, or begins one with the addresses that are `known`; then says what
    /// to do first.
    pub(super) fn begin(
        &mut self,
        peer: PeerId,
        known: Known,
        waiter: Option<Waiter>,
    ) -> Option<Step> {
        if let Some(attempt) = self.attempts.get_mut(&peer) {
            attempt.waiters.retain(|w| !w.is_closed());
            join(&mut attempt.waiters, waiter);
            return None;
        }
        if self.attempts.len() >= MAX_REACHING {
            answer(
                waiter,
                Err(NetError::TooMany {
                    limit: MAX_REACHING,
                }),
            );
            return None;
        }
        let mut attempt = Attempt {
            stage: Stage::LookingUp(None),
            left: groups(known),
            looked_up: false,
            waiters: waiter.into_iter().collect(),
        };
        let step = attempt.next();
        self.attempts.insert(peer, attempt);
        Some(step)
    }

    /// The dial that was asked for has begun under `id`; without one, somebody else's is under way.
    pub(super) fn dialing(&mut self, peer: &PeerId, id: Option<ConnectionId>) {
        if let Some(attempt) = self.attempts.get_mut(peer) {
            attempt.stage = Stage::Dialing(id);
        }
    }

    /// The look-up that was asked for has begun.
    pub(super) fn looking_up(&mut self, peer: &PeerId, query: QueryId) {
        if let Some(attempt) = self.attempts.get_mut(peer) {
            attempt.stage = Stage::LookingUp(Some(query));
        }
    }

    /// A dial failed: what next, if the attempt was waiting for that dial.
    pub(super) fn dial_failed(&mut self, peer: &PeerId, id: ConnectionId) -> Option<Step> {
        let attempt = self.attempts.get_mut(peer)?;
        match attempt.stage {
            Stage::Dialing(Some(ours)) if ours != id => None,
            Stage::Dialing(_) => Some(attempt.next()),
            Stage::LookingUp(_) => None,
        }
    }

    /// A look-up ended: the peer it was for.
    pub(super) fn looked_up(&self, query: QueryId) -> Option<PeerId> {
        self.attempts
            .iter()
            .find(|(_, a)| matches!(a.stage, Stage::LookingUp(Some(id)) if id == query))
            .map(|(peer, _)| *peer)
    }

    /// What a look-up found; then what to do next.
    pub(super) fn found(&mut self, peer: &PeerId, known: Known) -> Option<Step> {
        let attempt = self.attempts.get_mut(peer)?;
        attempt.left = groups(known);
        Some(attempt.next())
    }

    /// The peer is connected: everyone who waited may go on.
    pub(super) fn connected(&mut self, peer: &PeerId) {
        for waiter in self.end(peer) {
            answer(Some(waiter), Ok(()));
        }
    }

    /// The peer cannot be reached.
    pub(super) fn failed(&mut self, peer: &PeerId) {
        for waiter in self.end(peer) {
            answer(Some(waiter), Err(unreachable_peer(peer)));
        }
    }

    fn end(&mut self, peer: &PeerId) -> Vec<Waiter> {
        self.attempts
            .remove(peer)
            .map(|attempt| attempt.waiters)
            .unwrap_or_default()
    }
}

fn join(waiters: &mut Vec<Waiter>, waiter: Option<Waiter>) {
    if waiters.len() < MAX_WAITERS {
        waiters.extend(waiter);
    } else {
        answer(waiter, Err(NetError::TooMany { limit: MAX_WAITERS }));
    }
}

/// Answers one who waits, if it still does.
pub(super) fn answer<T>(waiter: Option<oneshot::Sender<T>>, value: T) {
    if let Some(waiter) = waiter
        && waiter.send(value).is_err()
    {
        tracing::trace!("the caller no longer waits");
    }
}

fn unreachable_peer(peer: &PeerId) -> NetError {
    match node_id(peer) {
        Some(node) => NetError::Unreachable { node },
        None => NetError::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn tcp_then_quic_then_look_up_then_give_up() {
        let peer = PeerId::random();
        let tcp = addr("/ip4/10.0.0.1/tcp/1");
        let quic = addr("/ip4/10.0.0.1/udp/1/quic-v1");
        let known = Known {
            tcp: vec![tcp.clone()],
            other: vec![quic.clone()],
        };
        let (waiter, mut waits) = oneshot::channel();
        let mut reaching = Reaching::default();
        let id = ConnectionId::new_unchecked(1);
        let first = reaching.begin(peer, known, Some(waiter));
        assert_eq!(first, Some(Step::Dial(vec![tcp])));
        reaching.dialing(&peer, Some(id));
        let other = ConnectionId::new_unchecked(2);
        assert_eq!(reaching.dial_failed(&peer, other), None, "not our dial");
        let second = reaching.dial_failed(&peer, id);
        assert_eq!(second, Some(Step::Dial(vec![quic.clone()])));
        assert_eq!(reaching.dial_failed(&peer, id), Some(Step::LookUp));
        let known = Known {
            tcp: vec![],
            other: vec![quic.clone()],
        };
        assert_eq!(reaching.found(&peer, known), Some(Step::Dial(vec![quic])));
        assert_eq!(reaching.dial_failed(&peer, id), Some(Step::GiveUp));
        reaching.failed(&peer);
        assert!(matches!(waits.try_recv(), Ok(Err(_))));
    }

    #[test]
    fn a_second_caller_joins_the_attempt() {
        let peer = PeerId::random();
        let mut reaching = Reaching::default();
        let (first, mut a) = oneshot::channel();
        let (second, mut b) = oneshot::channel();
        assert_eq!(
            reaching.begin(peer, Known::default(), Some(first)),
            Some(Step::LookUp)
        );
        assert_eq!(reaching.begin(peer, Known::default(), Some(second)), None);
        reaching.connected(&peer);
        assert!(matches!(
            (a.try_recv(), b.try_recv()),
            (Ok(Ok(())), Ok(Ok(())))
        ));
    }

    #[test]
    fn attempts_are_bounded() {
        let mut reaching = Reaching::default();
        for _ in 0..MAX_REACHING {
            reaching.begin(PeerId::random(), Known::default(), None);
        }
        let (waiter, mut waits) = oneshot::channel();
        let more = reaching.begin(PeerId::random(), Known::default(), Some(waiter));
        assert_eq!(more, None);
        assert!(matches!(
            waits.try_recv(),
            Ok(Err(NetError::TooMany { .. }))
        ));
    }
}
