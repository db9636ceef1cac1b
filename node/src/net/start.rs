//! Starting the transport: listen, then hand the Swarm to its task.

use larder_keys::Signer;
use larder_types::GenesisHash;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, Swarm, SwarmBuilder, noise, tcp, yamux};
use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::time::Instant;
use tokio::sync::mpsc;

use super::behaviour::{Behaviour, Names, behaviour};
use super::book::Book;
use super::bulk;
use super::event::NetEvent;
use super::handle::NetHandle;
use super::identity::keypair;
use super::limits;
use super::task::{Bootstrap, Task};
use super::{NetError, node_id};

/// What the transport needs to know.
#[derive(Debug)]
pub struct NetConfig {
    /// The node key: it is the peer's identity.
    pub key: Signer,
    /// The network; peers of other networks are not spoken to.
    pub genesis: GenesisHash,
    /// Where to listen; nowhere for a node that only dials. Port 0 is any free port.
    pub listen: Vec<Multiaddr>,
    /// Peers to stay connected to, each with its `/p2p/` part. Our own address is skipped.
    pub bootstrap: Vec<Multiaddr>,
    /// Whether addresses of this machine alone (127.0.0.1, ::1) may be dialled and told others.
    pub loopback_ok: bool,
}

/// The transport.
#[derive(Debug)]
pub struct Net;

impl Net {
    /// Listens, begins to connect to the bootstrap peers, and runs until
    /// [`NetHandle::shutdown`], or until all handles or the receiver are dropped.
    ///
    /// # Errors
    /// [`NetError::Listen`] for a used port or an address that is not ours,
    /// [`NetError::NoPeerInAddress`] for a bootstrap address without its peer, [`NetError::Setup`].
    pub async fn start(
        config: NetConfig,
    ) -> Result<(NetHandle, mpsc::Receiver<NetEvent>), NetError> {
        Self::start_with_queue(config, limits::EVENT_QUEUE).await
    }

    /// As [`Net::start`], with room for `queue` events.
    pub(super) async fn start_with_queue(
        config: NetConfig,
        queue: usize,
    ) -> Result<(NetHandle, mpsc::Receiver<NetEvent>), NetError> {
        let names = Names::new(&config.genesis);
        let mut swarm = swarm(&config, &names)?;
        let own = *swarm.local_peer_id();
        let mut book = Book::new(config.loopback_ok);
        let bootstrap = bootstrap(&config.bootstrap, own, &mut book)?;
        listen(&mut swarm, &config.listen)?;

        let (commands, inbox) = mpsc::channel(limits::COMMAND_QUEUE);
        let (events, outbox) = mpsc::channel(queue);
        let mut control = swarm.behaviour().bulk.new_control();
        let incoming = control.accept(names.bulk()).map_err(|e| setup(&e))?;
        let inbox = (commands.downgrade(), inbox);
        let mut task = Task::new(swarm, names.clone(), book, bootstrap, inbox, events.clone());
        task.settle(config.listen.len()).await;
        let node = node_id(&own).expect("our own key is ed25519");
        let running = tokio::spawn(async move {
            let accepting = tokio::spawn(bulk::accept(incoming, events));
            Box::pin(task.run()).await;
            accepting.abort();
        });
        let handle = NetHandle::new(node, commands, control, names.bulk(), running);
        Ok((handle, outbox))
    }
}

fn setup(error: &dyn std::fmt::Display) -> NetError {
    NetError::Setup {
        reason: error.to_string(),
    }
}

fn swarm(config: &NetConfig, names: &Names) -> Result<Swarm<Behaviour>, NetError> {
    let key = keypair(&config.key);
    let protocols = behaviour(&key, names, !config.listen.is_empty())?;
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(
            tcp::Config::default(),
            noise::Config::new,
            yamux::Config::default,
        )
        .map_err(|e| setup(&e))?
        .with_quic()
        .with_dns()
        .map_err(|e| setup(&e))?
        .with_behaviour(|_| protocols)
        .map_err(|e| setup(&e))?
        .with_swarm_config(|c| c.with_idle_connection_timeout(limits::IDLE_TIMEOUT))
        .with_connection_timeout(limits::CONNECT_TIMEOUT)
        .build();
    Ok(swarm)
}

fn listen(swarm: &mut Swarm<Behaviour>, addrs: &[Multiaddr]) -> Result<(), NetError> {
    for addr in addrs {
        let refused = |reason: String| NetError::Listen {
            addr: addr.clone(),
            reason,
        };
        probe(addr).map_err(|e| refused(e.to_string()))?;
        swarm
            .listen_on(addr.clone())
            .map_err(|e| refused(e.to_string()))?;
    }
    Ok(())
}

/// Binds and lets go. libp2p listens with `SO_REUSEPORT`, to dial from the port it listens on; two
/// nodes of one user would share a port without a word, each receiving half of the connections.
fn probe(addr: &Multiaddr) -> io::Result<()> {
    let mut parts = addr.iter();
    let ip: IpAddr = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        _ => return Ok(()),
    };
    match parts.next() {
        Some(Protocol::Tcp(port)) => TcpListener::bind((ip, port)).map(drop),
        Some(Protocol::Udp(port)) => UdpSocket::bind((ip, port)).map(drop),
        _ => Ok(()),
    }
}

/// The bootstrap peers, each once, their addresses in the book.
fn bootstrap(
    addrs: &[Multiaddr],
    own: PeerId,
    book: &mut Book,
) -> Result<Vec<Bootstrap>, NetError> {
    let mut peers: Vec<Bootstrap> = Vec::new();
    for addr in addrs {
        let Some(Protocol::P2p(peer)) = addr.iter().last() else {
            return Err(NetError::NoPeerInAddress { addr: addr.clone() });
        };
        if peer == own {
            continue;
        }
        book.add(peer, [addr.clone()]);
        if !peers.iter().any(|b| b.peer == peer) {
            peers.push(Bootstrap {
                peer,
                next: Instant::now(),
                wait: limits::BOOTSTRAP_WAIT,
            });
        }
    }
    Ok(peers)
}
