//! The addresses at which peers were said to listen: bounded per peer and in all. What was heard of
//! last stays longest.

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use super::limits::{MAX_BOOK_ADDRS, MAX_BOOK_PEERS};

/// The address book.
#[derive(Debug, Default)]
pub(super) struct Book {
    addrs: BTreeMap<PeerId, VecDeque<Multiaddr>>,
    /// Peers in the order in which they entered.
    entered: VecDeque<PeerId>,
    loopback_ok: bool,
}

/// A peer's addresses by transport. TCP moves bulk at less CPU than QUIC (STACK: 3.1 against 5.0 CPU s
/// per GB) and is tried first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) tcp: Vec<Multiaddr>,
    pub(super) other: Vec<Multiaddr>,
}

impl Book {
    /// An empty book; without `loopback_ok` it keeps no address of this machine alone.
    pub(super) fn new(loopback_ok: bool) -> Self {
        Self {
            loopback_ok,
            ..Self::default()
        }
    }

    /// Whether an address is worth dialling or telling others.
    pub(super) fn usable(&self, addr: &Multiaddr) -> bool {
        let ours_to_dial = |ip: IpAddr| {
            !ip.is_unspecified() && !ip.is_multicast() && (self.loopback_ok || !ip.is_loopback())
        };
        match addr.iter().next() {
            Some(Protocol::Ip4(ip)) => ours_to_dial(ip.into()),
            Some(Protocol::Ip6(ip)) => ours_to_dial(ip.to_canonical()),
            Some(first) => is_name(&first),
            None => false,
        }
    }

    /// Remembers where `peer` listens; newer addresses push the oldest out.
    pub(super) fn add(&mut self, peer: PeerId, addrs: impl IntoIterator<Item = Multiaddr>) {
        let addrs: Vec<Multiaddr> = addrs
            .into_iter()
            .take(MAX_BOOK_ADDRS)
            .filter(|addr| self.usable(addr))
            .filter_map(|addr| addr.with_p2p(peer).ok())
            .collect();
        if addrs.is_empty() {
            return;
        }
        if !self.addrs.contains_key(&peer) {
            self.make_room();
            self.entered.push_back(peer);
        }
        let known = self.addrs.entry(peer).or_default();
        for addr in addrs {
            known.retain(|old| *old != addr);
            known.push_back(addr);
        }
        while known.len() > MAX_BOOK_ADDRS {
            known.pop_front();
        }
    }

    fn make_room(&mut self) {
        while self.entered.len() >= MAX_BOOK_PEERS {
            if let Some(oldest) = self.entered.pop_front() {
                self.addrs.remove(&oldest);
            }
        }
    }

    /// The addresses known of `peer`, newest first.
    pub(super) fn get(&self, peer: &PeerId) -> Known {
        let mut known = Known::default();
        for addr in self.addrs.get(peer).into_iter().flatten().rev() {
            if addr.iter().any(|part| matches!(part, Protocol::Tcp(_))) {
                known.tcp.push(addr.clone());
            } else {
                known.other.push(addr.clone());
            }
        }
        known
    }
}

fn is_name(part: &Protocol<'_>) -> bool {
    matches!(
        part,
        Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: usize) -> Multiaddr {
        format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn addresses_of_one_peer_are_bounded_and_newest_first() {
        let (mut book, peer) = (Book::new(false), PeerId::random());
        for port in 1..=MAX_BOOK_ADDRS + 4 {
            book.add(peer, [addr(port)]);
        }
        book.add(peer, [addr(5)]);
        let known = book.get(&peer).tcp;
        assert_eq!(known.len(), MAX_BOOK_ADDRS);
        assert_eq!(known[0], addr(5).with_p2p(peer).unwrap());
        assert!(!known.contains(&addr(4).with_p2p(peer).unwrap()));
    }

    #[test]
    fn peers_are_bounded() {
        let mut book = Book::new(false);
        let first = PeerId::random();
        book.add(first, [addr(1)]);
        for _ in 0..MAX_BOOK_PEERS {
            book.add(PeerId::random(), [addr(1)]);
        }
        assert_eq!(book.addrs.len(), MAX_BOOK_PEERS);
        assert_eq!(book.get(&first), Known::default());
    }

    #[test]
    fn loopback_and_other_peoples_addresses_are_left_out() {
        let (mut book, peer) = (Book::new(false), PeerId::random());
        let loopback: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let others = addr(1).with_p2p(PeerId::random()).unwrap();
        let any: Multiaddr = "/ip4/0.0.0.0/tcp/1".parse().unwrap();
        book.add(peer, [loopback.clone(), others, any]);
        assert_eq!(book.get(&peer), Known::default());
        let quic: Multiaddr = "/ip4/127.0.0.1/udp/1/quic-v1".parse().unwrap();
        let mut book = Book::new(true);
        book.add(peer, [loopback, quic]);
        let known = book.get(&peer);
        assert_eq!((known.tcp.len(), known.other.len()), (1, 1));
    }
}
