//! A provider whose RPC is abused from all sides goes on proving: slow callers in their hundreds, batches of ten
//! thousand, bodies of 100 MB, foreign pages and rebound names, tokens beyond their scope.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, offered};
use crate::folder::plain;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// Callers at once that say half a word and wait.
const SLOW: usize = 300;
/// What is sent to be refused.
const BODY: usize = 100 << 20;

/// Where a node's RPC is, and its key.
struct Door {
    at: SocketAddr,
    bearer: String,
}

impl Door {
    fn of(node: &Node) -> Self {
        let shown = std::fs::read_to_string(node.home.join("rpc.json")).unwrap();
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let cookie = std::fs::read_to_string(node.home.join("cookie")).unwrap();
        Self {
            at: shown["address"].as_str().unwrap().parse().unwrap(),
            bearer: format!("Bearer {cookie}"),
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.at).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        stream
    }

    /// The status line and the body that a request gets.
    fn says(&self, request: &[u8]) -> (u16, String) {
        let mut stream = self.connect();
        // It may be refused before all is sent.
        stream.write_all(request).ok();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok());
        let body = answer
            .split_once("\r\n\r\n")
            .map(|(_, body)| body.to_owned());
        (status.unwrap_or(0), body.unwrap_or_default())
    }

    fn post(&self, headers: &str, bearer: &str, body: &str) -> (u16, Value) {
        let request = format!(
            "POST /rpc HTTP/1.1\r\n{headers}Connection: close\r\nAuthorization: {bearer}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (status, body) = self.says(request.as_bytes());
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    fn host(&self) -> String {
        format!("Host: {}\r\n", self.at)
    }
}

fn call(method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
}

/// One of each, and what it must get.
fn abuse(door: &Door, reader: &str) {
    let (host, head) = (door.host(), call("chain_head", &json!([])));
    let rebound = "Host: evil.example\r\n";
    assert_eq!(door.post(rebound, &door.bearer, &head).0, 403);
    let foreign = format!("{host}Origin: https://evil.example\r\n");
    assert_eq!(door.post(&foreign, &door.bearer, &head).0, 403);
    let upgrade = format!(
        "GET /rpc HTTP/1.1\r\n{foreign}Connection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Authorization: {}\r\n\r\n",
        door.bearer
    );
    assert_eq!(door.says(upgrade.as_bytes()).0, 403);
    assert_eq!(door.post(&host, "Bearer 00", &head).0, 401);
    let stop = call("node_shutdown", &json!([]));
    let (_, refused) = door.post(&host, reader, &stop);
    assert_eq!(refused["error"]["code"], 1_601, "{refused}");
    let batch = format!("[{}]", vec![head.as_str(); 10_000].join(","));
    let (_, refused) = door.post(&host, &door.bearer, &batch);
    assert!(refused["error"]["code"].is_i64(), "{refused}");
    let large = format!(
        "POST /rpc HTTP/1.1\r\n{host}Authorization: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {BODY}\r\n\r\n",
        door.bearer
    );
    let mut large = large.into_bytes();
    large.resize(large.len() + BODY, b' ');
    let (status, _) = door.says(&large);
    assert!(matches!(status, 0 | 413), "{status}");
    let (_, answer) = door.post(&host, &door.bearer, &head);
    assert!(
        answer["result"]["height"].is_u64(),
        "it serves on: {answer}"
    );
}

#[test]
fn a_node_whose_rpc_is_abused_goes_on_proving() {
    let fleet = Fleet::found("4s");
    let providers = fleet.providers(3);
    let keeper = fleet.keeper();
    offered(&keeper, 3);
    let folder = fleet.path("folder");
    plain(&folder, 6);
    saved(&keeper.larder(&["backup", folder.to_str().unwrap()]));
    keeper.settled();
    let victim = providers
        .iter()
        .find(|p| fleet.founder.provider(&p.info()).active_bytes > 0);
    let victim = victim.unwrap();
    let info = victim.info();
    let before = fleet
        .founder
        .proven_after(&info, fleet.founder.status().epoch);

    let made = victim.larder(&["token", "add", "reader"]).done();
    let reader = format!("Bearer {}", made["token"].as_str().unwrap());
    let door = Door::of(victim);
    let slow: Vec<TcpStream> = (0..SLOW)
        .map(|_| {
            let mut stream = door.connect();
            stream.write_all(b"POST /rpc HTTP/1.1\r\nHo").unwrap();
            stream
        })
        .collect();
    let (over, rounds) = (AtomicBool::new(false), AtomicU32::new(0));
    let after = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                abuse(&door, &reader);
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Two more epochs, under fire from end to end.
        let last = before.last_passed_epoch.unwrap();
        let after = fleet.founder.proven_after(&info, last + 2);
        over.store(true, Ordering::Relaxed);
        after
    });
    assert!(rounds.load(Ordering::Relaxed) > 0);
    assert_eq!(after.missed, before.missed, "no epoch was missed");
    for mut stream in slow {
        // Cut off, each of them, without ever having said what it wants.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).ok();
    }
    assert!(victim.status().ready);
}
