//! How validators find each other's consensus: each tells the port over our own network, and is expected
//! there at the address by which it is reached here. They ask when the set changes, when they connect,
//! and again as long as somebody is missing. Nothing of it stands in the ledger.

use crate::call::{Answer, Call};
use crate::chain::Ledger;
use crate::net::{Multiaddr, NetHandle};
use crate::seat::{Own, Seat};
use larder_consensus::Bft;
use larder_types::{NodeId, codec};
use libp2p::multiaddr::Protocol;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// How long a validator may take to say where its consensus listens.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How long until those are asked again that did not say it.
const SOON: Duration = Duration::from_secs(2);
/// And until all are asked again: ports change with restarts that nobody noticed.
const LATER: Duration = Duration::from_secs(60);

/// The meeting. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Meeting {
    /// Our consensus.
    pub seat: Seat,
    /// Who the validators are.
    pub ledger: Ledger,
    /// The transport.
    pub net: NetHandle,
    /// Told when somebody may be missing.
    pub called: Arc<Notify>,
}

impl Meeting {
    /// Has everybody asked again, now.
    pub fn call(&self) {
        self.called.notify_one();
    }

    /// The port of our own consensus, if we vote.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self.seat.own()? {
            Own::Solo(_) => None,
            Own::Bft(bft) => bft.addresses().iter().find_map(|addr| port(addr)),
        }
    }

    /// Introduces our consensus to the others', for as long as the node runs.
    pub async fn run(self) {
        let mut told: BTreeMap<NodeId, Multiaddr> = BTreeMap::new();
        loop {
            let is_whole = match self.seat.own() {
                Some(Own::Bft(bft)) => self.meet(&bft, &mut told).await,
                Some(Own::Solo(_)) | None => {
                    told.clear();
                    true
                }
            };
            let again = if is_whole { LATER } else { SOON };
            // A call or the time: either way all are asked.
            let _called = tokio::time::timeout(again, self.called.notified()).await;
        }
    }

    /// Asks all validators, and tells our consensus what is new; whether all of them answered.
    async fn meet(&self, bft: &Bft, told: &mut BTreeMap<NodeId, Multiaddr>) -> bool {
        let set = self.ledger.read().0.authority().validators;
        let own = self.net.node();
        let others = set.members().iter().map(|m| m.node).filter(|n| *n != own);
        let mut asked = JoinSet::new();
        for node in others {
            let meeting = self.clone();
            asked.spawn(async move { (node, meeting.ask(node).await) });
        }
        let mut is_whole = true;
        while let Some(Ok((node, port))) = asked.join_next().await {
            let addr = match port {
                Some(port) => self.addr(&node, port).await,
                None => None,
            };
            let Some(addr) = addr else {
                is_whole = false;
                continue;
            };
            if told.get(&node) == Some(&addr) {
                continue;
            }
            match bft.add_peer(&addr.to_string()).await {
                Ok(()) => {
                    tracing::info!(%addr, "a validator's consensus");
                    told.insert(node, addr);
                }
                Err(e) => tracing::warn!(%addr, "a validator cannot be met: {e}"),
            }
        }
        is_whole
    }

    async fn ask(&self, node: NodeId) -> Option<u16> {
        let call = codec::encode(&Call::Consensus);
        let answer = self.net.request(node, call, ANSWER_WAIT).await.ok()?;
        match codec::decode(&answer) {
            Ok(Answer::Consensus(port)) => port,
            Ok(_) | Err(_) => None,
        }
    }

    /// Where the consensus of a connected node listens.
    async fn addr(&self, node: &NodeId, port: u16) -> Option<Multiaddr> {
        let peers = self.net.peers().await.ok()?;
        let peer = peers.into_iter().find(|peer| peer.node == *node)?;
        let peer_id = crate::net::peer_id(node).ok()?;
        peer.addrs.iter().find_map(|addr| {
            let host = host(addr)?;
            let addr = Multiaddr::empty().with(host);
            Some(addr.with(Protocol::Tcp(port)).with(Protocol::P2p(peer_id)))
        })
    }
}

fn host(addr: &Multiaddr) -> Option<Protocol<'static>> {
    match addr.iter().next() {
        Some(
            host @ (Protocol::Ip4(_)
            | Protocol::Ip6(_)
            | Protocol::Dns(_)
            | Protocol::Dns4(_)
            | Protocol::Dns6(_)),
        ) => Some(host.acquire()),
        Some(_) | None => None,
    }
}

fn port(addr: &str) -> Option<u16> {
    let addr: Multiaddr = addr.parse().ok()?;
    addr.iter().find_map(|part| {
        if let Protocol::Tcp(port) = part {
            Some(port)
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_what_an_address_begins_with() {
        let of = |addr: &str| host(&addr.parse().unwrap()).map(|host| host.to_string());
        assert_eq!(
            of("/ip4/10.0.0.1/udp/4750/quic-v1"),
            Some("/ip4/10.0.0.1".to_owned())
        );
        assert_eq!(of("/ip6/::1/tcp/1"), Some("/ip6/::1".to_owned()));
        assert_eq!(of("/dns4/a.b/tcp/1"), Some("/dns4/a.b".to_owned()));
        assert_eq!(of("/memory/1"), None);
    }

    #[test]
    fn the_port_is_the_transports() {
        assert_eq!(port("/ip4/127.0.0.1/tcp/4751"), Some(4_751));
        assert_eq!(port("/ip4/127.0.0.1/udp/1"), None);
        assert_eq!(port("no address"), None);
    }
}
