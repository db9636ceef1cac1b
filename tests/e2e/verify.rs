//! `larder wallet verify`: a wallet with nothing but the genesis hash, and nodes that lie to it.

use crate::fleet::{Fleet, Said, larder};
use crate::until::until;
use larder_rpc::{AtParams, ClientError, Code, ProofParams};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a lying node makes of an answer.
type Lie = fn(&str) -> String;

/// Stands before a node and changes what it answers.
struct Liar {
    url: String,
    lie: Arc<Mutex<Lie>>,
}

impl Liar {
    fn before(node: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let lie: Arc<Mutex<Lie>> = Arc::new(Mutex::new(str::to_owned));
        let (held, node) = (Arc::clone(&lie), node.to_owned());
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let lie = *held.lock().unwrap();
                answer(stream.unwrap(), &node, lie);
            }
        });
        Self { url, lie }
    }

    fn tells(&self, lie: Lie) {
        *self.lie.lock().unwrap() = lie;
    }
}

/// One request, asked of the node and answered with what the lie makes of it.
fn answer(mut client: TcpStream, node: &str, lie: Lie) {
    let (head, body) = message(&mut BufReader::new(client.try_clone().unwrap()));
    let bearer = head
        .lines()
        .find(|line| line.to_lowercase().starts_with("authorization:"));
    let mut asked = TcpStream::connect(node).unwrap();
    write!(
        asked,
        "POST /rpc HTTP/1.0\r\nHost: {node}\r\n{}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        bearer.unwrap_or("X-None: 1"),
        body.len()
    )
    .unwrap();
    let (_, body) = message(&mut BufReader::new(asked));
    let body = lie(&body);
    write!(
        client,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
}

/// Head and body; without a length the body ends with the connection.
fn message(from: &mut BufReader<TcpStream>) -> (String, String) {
    let (mut head, mut length) = (String::new(), None);
    loop {
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(count) = line.to_lowercase().strip_prefix("content-length:") {
            length = Some(count.trim().parse().unwrap());
        }
        head += &line;
    }
    let mut body = String::new();
    let mut rest = from.take(length.unwrap_or(u64::MAX));
    rest.read_to_string(&mut body).unwrap();
    (head, body)
}

/// Changes the last digit but `back` of a field's hex.
fn bent(body: &str, field: &str, back: usize) -> String {
    let begin = format!("\"{field}\":\"0x");
    let Some(at) = body.find(&begin) else {
        return body.to_owned();
    };
    let from = at + begin.len();
    let last = from + body[from..].find('"').unwrap() - 1 - back;
    let digit = if &body[last..=last] == "0" { "1" } else { "0" };
    format!("{}{digit}{}", &body[..last], &body[last + 1..])
}

/// Says nothing of a field.
fn without(body: &str, field: &str) -> String {
    let begin = format!("\"{field}\":\"");
    let Some((before, after)) = body.split_once(&begin) else {
        return body.to_owned();
    };
    let (_, after) = after.split_once("\",").unwrap();
    format!("{before}{after}")
}

fn verify(home: &Path, url: &str, cookie: &Path, more: &[&str]) -> Said {
    let cookie = cookie.to_str().unwrap();
    let words = ["wallet", "verify", "--rpc", url, "--cookie", cookie];
    larder(home, &[&words[..], more].concat())
}

fn height(verified: &Value) -> u64 {
    verified["height"].as_u64().unwrap()
}

#[test]
fn a_wallet_with_nothing_but_the_genesis_hash_believes_no_liar() {
    let fleet = Fleet::found("4s");
    let founder = &fleet.founder;
    until("the chain has a block", Duration::from_secs(180), || {
        (founder.status().height > 1).then_some(())
    });
    // A home in which no node runs: only its genesis hash is trusted.
    let wallet = fleet.join("wallet", &[]);
    let config = wallet.home.join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("checkpoint"));
    std::fs::write(&config, lines.collect::<Vec<_>>().join("\n")).unwrap();
    let cookie = founder.home.join("cookie");
    let rpc = std::fs::read_to_string(founder.home.join("rpc.json")).unwrap();
    let rpc: Value = serde_json::from_str(&rpc).unwrap();
    let liar = Liar::before(rpc["address"].as_str().unwrap());
    let rich = founder.info().account.to_string();
    let verify = |more: &[&str]| verify(&wallet.home, &liar.url, &cookie, more);

    liar.tells(|body| bent(body, "document", 0));
    let said = verify(&[&rich]).refused(1);
    assert!(said.contains("genesis"), "{said}");
    let lies: [(Lie, &str); 5] = [
        (|body| bent(body, "value", 3), "does not show"),
        (|body| without(body, "value"), "does not show"),
        (|body| bent(body, "path", 3), "refused"),
        (|body| bent(body, "certificate", 3), "certificate"),
        (|body| bent(body, "layout", 3), "certificate"),
    ];
    let kept = wallet.home.join("light.json");
    for (lie, why) in lies {
        liar.tells(lie);
        // Of a block that it trusts already it asks no certificate.
        std::fs::remove_file(&kept).ok();
        let said = verify(&[&rich]).refused(1);
        assert!(said.contains(why), "{said}");
    }

    liar.tells(str::to_owned);
    let first = verify(&[&rich]).done();
    assert_eq!(first["verified"], true);
    assert_eq!(
        (&first["present"], &first["validators"]),
        (&true.into(), &1.into())
    );
    let balance: f64 = first["balance"].as_str().unwrap().parse().unwrap();
    assert!(balance > 900_000.0, "{first}");
    // Of the home's own account nothing is on the ledger, for its node never ran.
    let own = verify(&[]).done();
    assert_eq!(
        (&own["present"], &own["balance"]),
        (&false.into(), &Value::Null)
    );
    assert!(height(&own) >= height(&first));
    liar.tells(|body| bent(body, "path", 3));
    verify(&[]).refused(1);

    // A checkpoint of this chain is taken, one of another is not.
    liar.tells(str::to_owned);
    let point = own["checkpoint"].as_str().unwrap();
    std::fs::remove_file(&kept).unwrap();
    let again = verify(&["--checkpoint", point]).done();
    assert!(height(&again) >= height(&own));
    let (number, _) = point.split_once(':').unwrap();
    let hash = founder.larder(&["wallet", "address"]).done();
    let other = format!("{number}:{}", hash["account"].as_str().unwrap());
    let said = verify(&["--checkpoint", &other]).refused(1);
    assert!(said.contains("another chain"), "{said}");
    assert_eq!(verify(&["--checkpoint", "7"]).code, 2);
}

fn at(at: impl ToString) -> AtParams {
    AtParams {
        at: Some(at.to_string()),
    }
}

#[test]
fn a_block_is_found_by_height_and_hash_with_those_who_certified_it() {
    let fleet = Fleet::found("4s");
    let founder = &fleet.founder;
    until("the chain has blocks", Duration::from_secs(180), || {
        (founder.status().height > 3).then_some(())
    });
    let info = founder.info();
    let shown = |at| ProofParams {
        account: Some(info.account),
        at,
        ..ProofParams::default()
    };
    let (info, shown) = (&info, &shown);
    let asked = founder.ask(|node| async move {
        let header = node.chain_get_header(&at(2)).await?;
        assert_eq!((header.height, header.round), (2, 0));
        let by_hash = node.chain_get_block(&at(header.hash)).await?;
        assert_eq!(by_hash.header, header);
        let first = node.chain_get_header(&at(1)).await?;
        assert_eq!(
            (first.hash, first.prev.0.0),
            (header.prev, info.genesis.0.0)
        );
        let certificate = node.chain_get_certificate(&at(2)).await?;
        assert_eq!(certificate.block_hash, header.hash);
        assert_eq!(certificate.signers, [info.node]);
        assert_eq!(certificate.certificate, by_hash.certificate);
        let set = node.chain_get_validators(&at(2)).await?;
        assert_eq!((set.hash, set.height), (header.validators, 2));
        assert_eq!(set.validators.len(), 1);

        let newest = node.ledger_get_proof(&shown(None)).await?;
        assert!(newest.value.is_some() && newest.header.height > 3);
        let before = at(newest.header.height - 1).at;
        let older = node.ledger_get_proof(&shown(before)).await?;
        assert_ne!(older.header.state_root, newest.header.state_root);
        let far = node.ledger_get_proof(&shown(at(u64::MAX).at)).await;
        let refused = |error: ClientError| {
            let ClientError::Refused { code, .. } = error else {
                panic!("{error}");
            };
            code
        };
        assert_eq!(refused(far.unwrap_err()), Code::NotOnLedger);
        let nonsense = node.chain_get_header(&at("yesterday")).await;
        assert_eq!(refused(nonsense.unwrap_err()), Code::BadValue);
        let nobody = node.ledger_get_proof(&ProofParams::default()).await;
        assert_eq!(refused(nobody.unwrap_err()), Code::BadValue);
        Ok(())
    });
    asked.unwrap();
}
