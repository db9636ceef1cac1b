//! Strangers that talk nonsense to a provider's ports: it goes on serving and proving.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, offered};
use crate::folder::{copy_of, facts, noise, plain};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// Strangers at once.
const STRANGERS: usize = 200;
/// Datagrams of nonsense.
const DATAGRAMS: usize = 2_000;

#[test]
fn a_provider_survives_garbage_on_all_its_ports() {
    let fleet = Fleet::found("4s");
    let words = ["--provide", "2GiB", "--price", "2"];
    let quic = ["--listen", "/ip4/127.0.0.1/udp/0/quic-v1"];
    let mut provider = fleet.join("provider", &[&words[..], &quic[..]].concat());
    provider.start();
    let keeper = fleet.keeper();
    offered(&keeper, 1);
    let folder = fleet.path("folder");
    plain(&folder, 4);
    saved(&keeper.larder(&["backup", folder.to_str().unwrap()]));
    keeper.settled();

    let garbage = fleet.path("garbage");
    noise(&garbage, 99, 64 << 10);
    let garbage = fs::read(garbage).unwrap();
    let strangers = flood_tcp(&provider, &garbage);
    flood_udp(&provider, &garbage);
    rpc_refuses_strangers(&provider, &garbage);

    // While they still hold their connections.
    assert_eq!(provider.larder(&["status"]).done()["ready"], true);
    let info = provider.info();
    let now = fleet.founder.status().epoch;
    fleet.founder.proven_after(&info, now);
    drop(strangers);
    let target = fleet.path("back");
    let words = ["restore", "latest", "--target", target.to_str().unwrap()];
    keeper.larder(&words).done();
    assert_eq!(facts(&copy_of(&folder, &target)), facts(&folder));
    assert!(provider.runs());
}

/// Where the node listens with this transport.
fn address(node: &Node, transport: &str) -> SocketAddr {
    let listen = node.info().listen;
    let port = listen.iter().find_map(|addr| {
        let parts: Vec<&str> = addr.split('/').collect();
        let at = parts.iter().position(|part| *part == transport)?;
        parts.get(at + 1)?.parse::<u16>().ok()
    });
    SocketAddr::from(([127, 0, 0, 1], port.unwrap()))
}

/// Connects again and again: some say nothing, some begin well, all then talk nonsense.
fn flood_tcp(provider: &Node, garbage: &[u8]) -> Vec<TcpStream> {
    let to = address(provider, "tcp");
    let begin: [&[u8]; 4] = [
        b"",
        b"\x13/multistream/1.0.0\n",
        b"\x13/multistream/1.0.0\n\x07/noise\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ];
    let strangers = (0..STRANGERS).map(|number| {
        let mut stranger = TcpStream::connect(to).unwrap();
        // The node may hang up at any time, which is its good right.
        if number % 5 != 0 {
            stranger.write_all(begin[number % begin.len()]).ok();
            stranger.write_all(garbage).ok();
        }
        stranger
    });
    strangers.collect()
}

fn flood_udp(provider: &Node, garbage: &[u8]) {
    let to = address(provider, "udp");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..DATAGRAMS {
        let from = number * 7 % (garbage.len() - 1_300);
        let len = 1 + number * 13 % 1_300;
        socket.send_to(&garbage[from..from + len], to).unwrap();
    }
}

/// Without the cookie nobody is served, whatever is asked.
fn rpc_refuses_strangers(provider: &Node, garbage: &[u8]) {
    let endpoint = fs::read_to_string(provider.home.join("rpc.json")).unwrap();
    let endpoint: serde_json::Value = serde_json::from_str(&endpoint).unwrap();
    let to: SocketAddr = endpoint["address"].as_str().unwrap().parse().unwrap();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"node_shutdown","params":[]}"#;
    let head = "Content-Type: application/json\r\nConnection: close";
    let asked = format!(
        "POST /rpc HTTP/1.1\r\nHost: {to}\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = said(to, asked.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    said(to, garbage);
}

/// Says something over TCP and gives the answer until the other side hangs up.
fn said(to: SocketAddr, what: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    let wait = Some(Duration::from_secs(180));
    stream.set_read_timeout(wait).unwrap();
    stream.write_all(what).ok();
    let mut answer = Vec::new();
    // A reset is a hang-up too.
    if let Err(why) = stream.read_to_end(&mut answer) {
        let waits = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
        assert!(!waits.contains(&why.kind()), "{to} does not hang up: {why}");
    }
    String::from_utf8_lossy(&answer).into_owned()
}
