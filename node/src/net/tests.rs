//! Real nodes in one process, over loopback: requests, gossip, discovery, bulk streams, bad peers.

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use larder_keys::Signer;
use larder_types::{GenesisHash, Hash, NodeId};
use libp2p::{Multiaddr, StreamProtocol};
use std::collections::BTreeSet;
use std::io;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::behaviour::{Behaviour, Names, behaviour};
use super::identity::keypair;
use super::*;

/// Longer than anything here takes, on a machine under load.
const DEADLINE: Duration = Duration::from_secs(60);
const GENESIS: GenesisHash = GenesisHash([5; 32]);
const TCP: &str = "/ip4/127.0.0.1/tcp/0";
const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

/// A node and its events.
struct Node {
    net: NetHandle,
    events: mpsc::Receiver<NetEvent>,
}

fn config(seed: u8, listen: &[&str], bootstrap: Vec<Multiaddr>) -> NetConfig {
    NetConfig {
        key: Signer::from_seed(&[seed; 32]),
        genesis: GENESIS,
        listen: listen.iter().map(|a| a.parse().unwrap()).collect(),
        bootstrap,
        loopback_ok: true,
    }
}

impl Node {
    async fn start(seed: u8, listen: &[&str], bootstrap: Vec<Multiaddr>) -> Self {
        let config = config(seed, listen, bootstrap);
        let (net, events) = Net::start(config).await.unwrap();
        Self { net, events }
    }

    fn id(&self) -> NodeId {
        self.net.node()
    }

    /// An address of ours with its peer.
    async fn addr(&self) -> Multiaddr {
        let addrs = self.net.listen_addrs().await.unwrap();
        addrs[0]
            .clone()
            .with_p2p(peer_id(&self.id()).unwrap())
            .unwrap()
    }

    /// The first event that `wanted` takes.
    async fn next<T>(&mut self, mut wanted: impl FnMut(NetEvent) -> Option<T>) -> T {
        timeout(DEADLINE, async {
            loop {
                let event = self.events.recv().await.expect("the network runs");
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        })
        .await
        .expect("the event came in time")
    }

    /// Answers each request with its bytes reversed, in the background; other events are dropped.
    fn echo(self) -> NetHandle {
        let Self { net, mut events } = self;
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if let NetEvent::Request { bytes, respond, .. } = event {
                    let reversed = bytes.into_iter().rev().collect();
                    respond.respond(reversed).await.unwrap();
                }
            }
        });
        net
    }
}

async fn connected(from: &NetHandle, to: &Node) {
    from.add_addrs(to.id(), vec![to.addr().await])
        .await
        .unwrap();
    let deadline = Instant::now() + DEADLINE;
    from.wait_connected(to.id(), deadline).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_answered_over_both_transports() {
    for listen in [TCP, QUIC] {
        let server = Node::start(1, &[listen], vec![]).await;
        let client = Node::start(2, &[], vec![]).await;
        connected(&client.net, &server).await;
        let (id, _server) = (server.id(), server.echo());
        for len in [0, 3, limits::MAX_REQUEST] {
            let mut bytes = vec![0; len];
            bytes.iter_mut().take(1).for_each(|b| *b = 9);
            let answer = client.net.request(id, bytes.clone(), DEADLINE).await;
            bytes.reverse();
            assert_eq!(answer.unwrap(), bytes);
        }
        let too_long = vec![0; limits::MAX_REQUEST + 1];
        let refused = client.net.request(id, too_long, DEADLINE).await;
        assert!(matches!(refused, Err(NetError::TooLarge { .. })));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_and_goes_is_told() {
    let mut server = Node::start(1, &[TCP], vec![]).await;
    let client = Node::start(2, &[], vec![server.addr().await]).await;
    let id = client.id();
    server
        .next(|e| matches!(e, NetEvent::Connected(node) if node == id).then_some(()))
        .await;
    let peers = server.net.peers().await.unwrap();
    assert_eq!(peers.len(), 1);
    assert_eq!(peers[0].node, id);
    client.net.shutdown().await;
    server
        .next(|e| matches!(e, NetEvent::Disconnected(node) if node == id).then_some(()))
        .await;
    let late = client.net.request(server.id(), vec![], DEADLINE).await;
    assert!(matches!(late, Err(NetError::Closed)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_bootstrap_peer_is_dialled_again() {
    let mut server = Node::start(1, &[TCP], vec![]).await;
    let addr = server.addr().await;
    let client = Node::start(2, &[], vec![addr.clone()]).await;
    let id = client.id();
    let came = |e| matches!(e, NetEvent::Connected(node) if node == id).then_some(());
    server.next(came).await;
    server.net.shutdown().await;
    let same_port = addr.to_string();
    let listen = same_port.split("/p2p/").next().unwrap();
    let mut again = Node::start(1, &[listen], vec![]).await;
    again.next(came).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_third_peer_is_found_through_kademlia() {
    let first = Node::start(1, &[TCP], vec![]).await;
    let addr = first.addr().await;
    let second = Node::start(2, &[TCP], vec![addr.clone()]).await;
    let third = Node::start(3, &[TCP], vec![addr]).await;
    let deadline = Instant::now() + DEADLINE;
    for node in [&second, &third] {
        node.net.wait_connected(first.id(), deadline).await.unwrap();
    }
    let id = third.id();
    let _echo = third.echo();
    // The first peer learns the third's address a moment after they connect (identify).
    second.net.wait_connected(id, deadline).await.unwrap();
    let answer = second.net.request(id, vec![1, 2], DEADLINE).await;
    assert_eq!(answer.unwrap(), [2, 1]);
}

/// Looks `key` up until at least one peer says it keeps something under it.
async fn found(net: &NetHandle, key: Hash) -> Vec<NodeId> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let found = net.find_providers(key, DEADLINE).await.unwrap();
        if !found.is_empty() {
            return found;
        }
        assert!(Instant::now() < deadline, "nobody was found");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_keeps_something_is_found_by_those_who_come_later_and_listen_nowhere() {
    const KEY: Hash = Hash([3; 32]);
    let hub = Node::start(1, &[TCP], vec![]).await;
    let addr = hub.addr().await;
    let keeper = Node::start(2, &[TCP], vec![addr.clone()]).await;
    // Announced before anybody is there to hear it: those who come are told.
    keeper.net.provide(KEY).await.unwrap();
    let (id, _hub, keeper) = (keeper.id(), hub.echo(), keeper.echo());
    let late = Node::start(3, &[], vec![addr]).await;
    assert_eq!(found(&late.net, KEY).await, [id]);
    let answer = late.net.request(id, vec![1, 2], DEADLINE).await;
    assert_eq!(answer.unwrap(), [2, 1], "and it can be asked");
    let other = Hash([4; 32]);
    let nobody = late.net.find_providers(other, DEADLINE).await.unwrap();
    assert_eq!(nobody, []);
    let none_of_mine = keeper.find_providers(KEY, DEADLINE).await.unwrap();
    assert_eq!(none_of_mine, [], "we ourselves are left out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_ours_are_bounded() {
    let node = Node::start(1, &[TCP], vec![]).await;
    let key = |n: usize| Hash(*blake3::hash(&n.to_le_bytes()).as_bytes());
    for n in 0..limits::MAX_PROVIDED {
        node.net.provide(key(n)).await.unwrap();
    }
    let one_more = node.net.provide(key(limits::MAX_PROVIDED)).await;
    assert!(matches!(one_more, Err(NetError::TooMany { .. })));
    node.net.stop_providing(key(0)).await.unwrap();
    let instead = node.net.provide(key(limits::MAX_PROVIDED)).await;
    assert!(instead.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_nowhere_is_unreachable() {
    let node = Node::start(1, &[TCP], vec![]).await;
    let nobody = Signer::from_seed(&[99; 32]).node();
    let failed = node.net.request(nobody, vec![], DEADLINE).await;
    assert!(
        matches!(failed, Err(NetError::Unreachable { .. })),
        "{failed:?}"
    );
    let closed_port: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
    node.net.add_addrs(nobody, vec![closed_port]).await.unwrap();
    let failed = node.net.open_bulk(nobody).await;
    assert!(
        matches!(failed, Err(NetError::Unreachable { .. })),
        "{failed:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_used_port_is_said_plainly() {
    for listen in [TCP, QUIC] {
        let node = Node::start(1, &[listen], vec![]).await;
        let used = node.net.listen_addrs().await.unwrap()[0].to_string();
        let failed = Net::start(config(2, &[&used], vec![])).await.map(|_| ());
        assert!(matches!(failed, Err(NetError::Listen { .. })), "{failed:?}");
    }
}

/// Publishes as soon as somebody follows.
async fn publish(net: &NetHandle, topic: Topic, bytes: &[u8]) {
    let deadline = Instant::now() + DEADLINE;
    while let Err(error) = net.publish(topic, bytes.to_vec()).await {
        assert!(matches!(error, NetError::NoSubscribers), "{error}");
        assert!(Instant::now() < deadline, "nobody follows");
        tokio::task::yield_now().await;
    }
}

fn came(event: NetEvent) -> Option<NodeId> {
    if let NetEvent::Connected(node) = event {
        return Some(node);
    }
    None
}

type Heard = (Topic, NodeId, Vec<u8>, MessageToken);

fn gossip(event: NetEvent) -> Option<Heard> {
    if let NetEvent::Gossip {
        topic,
        source,
        bytes,
        token,
    } = event
    {
        return Some((topic, source, bytes, token));
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gossip_is_passed_on_only_when_accepted() {
    // A line: the ends know of the middle alone.
    let mut middle = Node::start(1, &[TCP], vec![]).await;
    let addr = middle.addr().await;
    let left = Node::start(2, &[], vec![addr.clone()]).await;
    let mut right = Node::start(3, &[], vec![addr]).await;
    let ids = BTreeSet::from([left.id(), right.id()]);
    let mut seen = BTreeSet::new();
    while seen != ids {
        seen.insert(middle.next(came).await);
    }
    // The right end follows once it has said so; its own message shows that the mesh stands.
    publish(&right.net, Topic::Heads, b"from the right").await;
    let (topic, source, bytes, token) = middle.next(gossip).await;
    assert_eq!((topic, source), (Topic::Heads, right.id()));
    assert_eq!(bytes, b"from the right");
    middle.net.report(token, Verdict::Accept).await.unwrap();

    publish(&left.net, Topic::Offers, b"bad").await;
    publish(&left.net, Topic::Offers, b"good").await;
    for _ in 0..2 {
        let (_, _, bytes, token) = middle.next(gossip).await;
        let verdict = if bytes == b"bad" {
            Verdict::Reject
        } else {
            Verdict::Accept
        };
        middle.net.report(token, verdict).await.unwrap();
    }
    let (topic, source, bytes, token) = right.next(gossip).await;
    assert_eq!((topic, source), (Topic::Offers, left.id()));
    assert_eq!(bytes, b"good");
    right.net.report(token, Verdict::Accept).await.unwrap();

    let too_large = left
        .net
        .publish(Topic::Offers, vec![0; limits::MAX_GOSSIP + 1])
        .await;
    assert!(matches!(too_large, Err(NetError::TooLarge { .. })));
    publish(&left.net, Topic::Heads, &vec![7; limits::MAX_GOSSIP]).await;
    assert_eq!(middle.next(gossip).await.2.len(), limits::MAX_GOSSIP);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_bad_gossip_is_no_longer_heard() {
    const BORNE: usize = 3;
    const PATIENCE: usize = 40;
    let mut node = Node::start(1, &[TCP], vec![]).await;
    let bad = Node::start(2, &[], vec![node.addr().await]).await;
    let good = Node::start(3, &[], vec![node.addr().await]).await;
    // Until it is known as bad it is heard, however late it is.
    for number in 0..BORNE {
        publish(&bad.net, Topic::Offers, &number.to_le_bytes()).await;
        let (_, source, _, token) = node.next(gossip).await;
        assert_eq!(source, bad.id());
        node.net.report(token, Verdict::Reject).await.unwrap();
    }
    let mut heard = 0;
    for number in BORNE..PATIENCE {
        publish(&bad.net, Topic::Offers, &number.to_le_bytes()).await;
        publish(&good.net, Topic::Heads, &number.to_le_bytes()).await;
        loop {
            let (_, source, _, token) = node.next(gossip).await;
            let from_bad = source == bad.id();
            let verdict = if from_bad {
                Verdict::Reject
            } else {
                Verdict::Accept
            };
            node.net.report(token, verdict).await.unwrap();
            if !from_bad {
                break;
            }
            heard += 1;
        }
    }
    assert!(heard < PATIENCE / 2, "heard {heard} of {PATIENCE}");
}

/// Twenty bursts of 32 opens at once by three openers: each opened stream arrives, and carries.
async fn bursts(listen: &str) {
    const BURSTS: u32 = 20;
    const OPENS: u32 = 32;
    const OPENERS: u32 = 3;
    let Node { net, mut events } = Node::start(1, &[listen], vec![]).await;
    let acceptor = net.node();
    let addr = net.listen_addrs().await.unwrap();
    let mut openers = Vec::new();
    for seed in [2, 3, 4] {
        let opener = Node::start(seed, &[], vec![]).await;
        opener.net.add_addrs(acceptor, addr.clone()).await.unwrap();
        openers.push(opener);
    }
    let accepted = tokio::spawn(async move {
        let mut heard = BTreeSet::new();
        while heard.len() < usize::try_from(BURSTS * OPENS * OPENERS).unwrap() {
            let Some(NetEvent::Bulk { peer, mut stream }) = events.recv().await else {
                continue;
            };
            let number = stream.read_u32_le().await.unwrap();
            assert!(heard.insert((peer, number)), "a stream arrived twice");
        }
    });
    for burst in 0..BURSTS {
        let mut opens = JoinSet::new();
        for opener in &openers {
            for open in 0..OPENS {
                let net = opener.net.clone();
                opens.spawn(async move {
                    let mut stream = net.open_bulk(acceptor).await.unwrap();
                    let number = (burst * OPENS + open).to_le_bytes();
                    tokio::io::AsyncWriteExt::write_all(&mut stream, &number)
                        .await
                        .unwrap();
                    tokio::io::AsyncWriteExt::shutdown(&mut stream)
                        .await
                        .unwrap();
                });
            }
        }
        timeout(DEADLINE, opens.join_all())
            .await
            .expect("the burst ended in time");
    }
    timeout(DEADLINE, accepted)
        .await
        .expect("all streams arrived")
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_bulk_stream_is_lost_in_bursts_over_tcp() {
    bursts(TCP).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_bulk_stream_is_lost_in_bursts_over_quic() {
    bursts(QUIC).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_payload_arrives_whole() {
    const LEN: u64 = 100 << 20;
    let mut server = Node::start(1, &[TCP], vec![]).await;
    let client = Node::start(2, &[], vec![]).await;
    connected(&client.net, &server).await;
    let to = server.id();
    let sent = tokio::spawn(async move {
        let mut stream = client.net.open_bulk(to).await.unwrap();
        write_header(&mut stream, &LEN).await.unwrap();
        let mut source = tokio::io::repeat(0x5a).take(LEN);
        send_payload(&mut source, &mut stream, LEN).await.unwrap();
        read_header::<_, serde_bytes::ByteBuf>(&mut stream)
            .await
            .unwrap()
    });
    let mut stream = server
        .next(|e| {
            if let NetEvent::Bulk { stream, .. } = e {
                return Some(stream);
            }
            None
        })
        .await;
    let len: u64 = read_header(&mut stream).await.unwrap();
    let (mut hasher, mut largest) = (blake3::Hasher::new(), 0);
    let mut payload = Payload::new(len);
    while let Some(piece) = payload.next(&mut stream).await.unwrap() {
        largest = largest.max(piece.len());
        hasher.update(piece);
    }
    assert!(largest <= limits::COPY_BUFFER);
    let root = hasher.finalize();
    let reply = serde_bytes::ByteBuf::from(root.as_bytes());
    write_header(&mut stream, &reply).await.unwrap();
    let mut expected = blake3::Hasher::new();
    io::copy(&mut io::Read::take(io::repeat(0x5a), LEN), &mut expected).unwrap();
    assert_eq!(sent.await.unwrap(), expected.finalize().as_bytes());
}

/// A peer that speaks our protocols, and then does as it likes.
fn rogue(seed: u8, genesis: &GenesisHash) -> libp2p::Swarm<Behaviour> {
    let key = keypair(&Signer::from_seed(&[seed; 32]));
    let protocols = behaviour(&key, &Names::new(genesis), false).unwrap();
    libp2p::SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(
            libp2p::tcp::Config::default(),
            libp2p::noise::Config::new,
            libp2p::yamux::Config::default,
        )
        .unwrap()
        .with_behaviour(|_| protocols)
        .unwrap()
        .build()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_does_not_harm_a_node() {
    let node = Node::start(1, &[TCP], vec![]).await;
    let (id, addr) = (node.id(), node.addr().await);
    let net = node.echo();
    let mut swarm = rogue(66, &GENESIS);
    let mut control = swarm.behaviour().bulk.new_control();
    swarm.dial(addr.clone()).unwrap();
    let drive = tokio::spawn(async move {
        loop {
            futures::StreamExt::select_next_some(&mut swarm).await;
        }
    });
    let target = peer_id(&id).unwrap();
    let names = Names::new(&GENESIS);
    let garbage: [(StreamProtocol, Vec<u8>); 6] = [
        (names.ask(), vec![0xff; 64]),
        (names.ask(), vec![0xff; limits::MAX_REQUEST * 2]),
        (names.ask(), vec![9, 0, 0, 0, 1]),
        (names.kad(), vec![0xff; 1000]),
        (names.bulk(), vec![0xff; 1000]),
        (StreamProtocol::new("/nothing/1"), vec![0; 10]),
    ];
    for (protocol, bytes) in garbage {
        let opened = timeout(DEADLINE, control.open_stream(target, protocol)).await;
        let Ok(mut stream) = opened.expect("answered in time") else {
            continue;
        };
        // The node may close at any byte: that it does is the point.
        let sent = timeout(DEADLINE, stream.write_all(&bytes))
            .await
            .expect("not stuck");
        let closed = timeout(DEADLINE, stream.close()).await.expect("not stuck");
        let mut rest = Vec::new();
        let read = timeout(DEADLINE, stream.read_to_end(&mut rest))
            .await
            .expect("not stuck");
        assert!(rest.len() < 100, "{sent:?} {closed:?} {read:?}");
    }
    let honest = Node::start(2, &[], vec![addr]).await;
    let answer = honest.net.request(id, vec![1, 2, 3], DEADLINE).await;
    assert_eq!(answer.unwrap(), [3, 2, 1]);
    drive.abort();
    net.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_of_another_network_is_sent_away() {
    let mut node = Node::start(1, &[TCP], vec![]).await;
    let mut swarm = rogue(66, &GenesisHash([6; 32]));
    swarm.dial(node.addr().await).unwrap();
    let drive = tokio::spawn(async move {
        loop {
            futures::StreamExt::select_next_some(&mut swarm).await;
        }
    });
    let stranger = Signer::from_seed(&[66; 32]).node();
    for wanted in [
        NetEvent::Connected(stranger),
        NetEvent::Disconnected(stranger),
    ] {
        let wanted = format!("{wanted:?}");
        node.next(|e| (format!("{e:?}") == wanted).then_some(()))
            .await;
    }
    drive.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_that_does_not_read_makes_peers_busy_and_misses_nobody() {
    const QUEUE: usize = 4;
    let config = config(1, &[TCP], vec![]);
    let (net, events) = Net::start_with_queue(config, QUEUE).await.unwrap();
    let mut server = Node { net, events };
    let client = Node::start(2, &[], vec![]).await;
    connected(&client.net, &server).await;
    let to = server.id();
    // Nobody reads: requests fill what the first events left of the queue, the next one is refused.
    let mut asks = JoinSet::new();
    for _ in 0..=QUEUE {
        let net = client.net.clone();
        asks.spawn(async move { net.request(to, vec![1], DEADLINE).await });
    }
    let first = timeout(DEADLINE, asks.join_next()).await.unwrap().unwrap();
    assert!(matches!(first, Ok(Err(NetError::Busy { .. }))), "{first:?}");
    let bulk = client.net.open_bulk(to).await.map(|_| ());
    assert!(matches!(bulk, Err(NetError::Bulk { .. })), "{bulk:?}");
    // One who comes meanwhile is told of as soon as there is room, and requests are answered again.
    let late = Node::start(3, &[], vec![]).await;
    connected(&late.net, &server).await;
    let mut came = BTreeSet::new();
    while came.len() < 2 {
        let event = timeout(DEADLINE, server.events.recv()).await.unwrap();
        if let Some(NetEvent::Request { respond, .. }) = event {
            respond.respond(vec![2]).await.unwrap();
        } else if let Some(NetEvent::Connected(node)) = event {
            came.insert(node);
        }
    }
    assert_eq!(came, BTreeSet::from([client.id(), late.id()]));
    let _echo = server.echo();
    assert_eq!(
        client.net.request(to, vec![1, 2], DEADLINE).await.unwrap(),
        [2, 1]
    );
}
