//! What a person looks at between backups: prices, what is kept and how safe, alerts and who is told
//! of them, metrics.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, offered};
use crate::folder::plain;
use crate::until::until;
use larder_rpc::{Empty, Endpoint, PageParams};
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const PROVIDERS: usize = 3;
const SOON: Duration = Duration::from_secs(180);

#[test]
fn what_is_kept_is_costed_found_compared_and_checked() {
    let fleet = Fleet::found("4s");
    let providers = fleet.providers(PROVIDERS);
    let keeper = fleet.keeper();
    offered(&keeper, PROVIDERS);
    let quote = keeper.larder(&["quote", "1MiB"]).last();
    assert_eq!(quote["affordable"], true, "{quote}");
    let folder = fleet.path("folder");
    plain(&folder, 2);
    fs::write(folder.join("gone"), "soon").unwrap();
    let path = folder.to_str().unwrap();
    let first = saved(&keeper.larder(&["backup", path]));
    let cost: u64 = nano(&first["cost"]);
    // A contract runs to the end of a term: the epochs that passed meanwhile are not paid for.
    let passed = cost.abs_diff(nano(&quote["cost"])) / nano(&quote["per_epoch"]);
    assert!(passed <= 3, "the price was known before: {quote} {first}");
    let rented = keeper.larder(&["quote", "1MiB"]).last();
    assert_eq!(nano(&rented["cost"]), 0, "what is rented has room for it");

    fs::remove_file(folder.join("gone")).unwrap();
    fs::write(folder.join("new"), "here").unwrap();
    fs::write(folder.join("deep/er/note"), "another one").unwrap();
    saved(&keeper.larder(&["backup", path]));
    let id = first["snapshot"].as_str().unwrap();
    let differences = keeper
        .larder(&["diff", id, "latest", "--path", path])
        .objects();
    let of = |name: &str| {
        let path = folder.join(name).to_str().unwrap().to_owned();
        let found = differences.iter().find(|d| d["path"] == path.as_str());
        found.map(|d| d["change"].as_str().unwrap().to_owned())
    };
    assert_eq!(of("gone").as_deref(), Some("removed"), "{differences:?}");
    assert_eq!(of("new").as_deref(), Some("added"));
    assert_eq!(of("deep/er/note").as_deref(), Some("modified"));
    assert_eq!(of("deep/000"), None);
    assert_eq!(
        keeper.larder(&["find", "note"]).objects().len(),
        2,
        "in both"
    );
    let latest = ["find", "gone", "--snapshot", "latest"];
    assert_eq!(keeper.larder(&latest).objects().len(), 0);

    let check = keeper.larder(&["check"]).done();
    assert_eq!(
        (&check["ok"], &check["snapshots"]),
        (&Value::from(true), &Value::from(2))
    );
    let stats = keeper.larder(&["stats"]).objects();
    let operators = stats
        .iter()
        .filter(|o| o["message_type"] == "domain")
        .count();
    assert!(operators >= PROVIDERS, "{stats:?}");
    let contract = keeper.contracts()[0].contract.to_string();
    let health = keeper.larder(&["contracts", "health", &contract]).done();
    assert!(health["shards"].as_u64().unwrap() > 0, "{health}");
    let spending = keeper.larder(&["contracts", "spending"]).done();
    assert!(nano(&spending["per_epoch"]) > 0, "{spending}");
    paid(&keeper, &providers[0]);
}

fn nano(credits: &Value) -> u64 {
    let text = credits.as_str().unwrap();
    text.parse::<larder_types::Amount>().unwrap().nano()
}

/// The provider's earnings are what its status says, once it has been paid.
fn paid(keeper: &Node, provider: &Node) {
    let node = provider.info();
    keeper.proven_after(&node, 0);
    let earned = until("it is paid", SOON, || {
        let all = PageParams::default();
        let earned = provider.ask(|n| async move { n.provider_earnings(&all).await });
        earned.ok().filter(|e| e.proven > 0 && !e.epochs.is_empty())
    });
    assert!(earned.epochs.iter().any(|audit| audit.paid), "{earned:?}");
    let stats = keeper.ask(|n| async move { n.market_stats(&Empty {}).await });
    let stats = stats.unwrap();
    assert_eq!((stats.providers, stats.registered), (3, 3), "{stats:?}");
}

#[test]
fn a_disk_with_too_little_room_is_told_of_and_so_is_the_end_of_it() {
    let fleet = Fleet::found("4s");
    let keeper = fleet.keeper();
    until("a peer", SOON, || (keeper.status().peers > 0).then_some(()));
    probes(&keeper.home);
    let (address, posts) = hook();
    for (key, value) in [
        ("alerts.webhook", address.as_str()),
        ("alerts.secret", "s3cret"),
        ("alerts.calm", "1s"),
        ("alerts.disk_free", "1000TiB"),
    ] {
        let set = keeper.larder(&["config", "set", key, value]).done();
        assert_eq!(set["restart"], false, "{set}");
    }
    let refused = keeper.larder(&["config", "set", "alerts.calm", "soon"]);
    assert!(refused.refused(2).contains("alerts.calm"));
    assert!(!keeper.larder(&["config"]).out.contains("s3cret"));

    let raised = post(&posts);
    assert_eq!(raised["event"], "raised", "{raised}");
    let status = keeper.larder(&["status"]).done();
    assert_eq!(status["alerts"][0]["code"], "disk_failing", "{status}");
    let doctor = keeper.larder(&["doctor"]);
    assert!(doctor.out.contains("disk_failing"), "{doctor:?}");
    keeper
        .larder(&["config", "unset", "alerts.disk_free"])
        .done();
    let cleared = post(&posts);
    assert_eq!(cleared["event"], "cleared", "{cleared}");
    let alerts = keeper.larder(&["alerts"]).objects();
    let is_over = |a: &Value| a["code"] == "disk_failing" && !a["cleared"].is_null();
    assert!(alerts.iter().any(is_over), "{alerts:?}");
}

/// The next post about a disk.
fn post(posts: &mpsc::Receiver<Value>) -> Value {
    loop {
        let post = posts.recv_timeout(SOON).expect("a post in time");
        if post["alert"]["code"] == "disk_failing" {
            return post;
        }
    }
}

/// A webhook of our own: its address, and what is posted there, signed.
fn hook() -> (String, mpsc::Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let (tell, told) = mpsc::sync_channel(100);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Some(body) = taken(stream.unwrap()) else {
                continue;
            };
            if tell.send(serde_json::from_str(&body).unwrap()).is_err() {
                return;
            }
        }
    });
    (address, told)
}

/// Reads a signed post and answers it.
fn taken(mut stream: TcpStream) -> Option<String> {
    let mut text = String::new();
    let mut buffer = [0; 4_096];
    loop {
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        text.push_str(std::str::from_utf8(&buffer[..read]).ok()?);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let head = head.to_lowercase();
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("content-length: "));
        if body.len() < length?.parse().ok()? {
            continue;
        }
        assert!(head.contains("larder-signature: sha256="), "{head}");
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(answer.as_bytes()).ok()?;
        return Some(body.to_owned());
    }
}

/// The three paths that programs watch a node by.
fn probes(home: &Path) {
    let at = Endpoint::read(home).unwrap().unwrap().address;
    let get = |path: &str| {
        let mut stream = TcpStream::connect(at).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get("/healthz").starts_with("HTTP/1.1 200"));
    let ready = get("/readyz");
    assert!(
        ready.starts_with("HTTP/1.1 200") && ready.contains("\"reasons\":[]"),
        "{ready}"
    );
    let metrics = get("/metrics");
    assert!(
        metrics.contains("\nlarder_node_connected_peers 1\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("application/openmetrics-text"),
        "{metrics}"
    );
}
