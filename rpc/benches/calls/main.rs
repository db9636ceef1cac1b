//! A node's RPC under load, beside a bare jsonrpsee server that echoes, in one run:
//!
//! ```text
//! cargo build --release -p larder-node
//! cargo bench -p larder-rpc --bench calls -- target/release/larder
//! ```
//!
//! `ledger_getBalance` over HTTP and over WebSocket by 100 connections, a thousand subscribers to
//! `chain_subscribe`, and a million calls. Both servers are processes of their own with two workers; the
//! load comes from this process, on the same cores.
#![allow(clippy::print_stdout, reason = "it prints its table")]
#![allow(clippy::unwrap_used, reason = "a benchmark ends where it fails")]

mod load;
mod node;

use jsonrpsee::RpcModule;
use load::{Round, Wire, run};
use node::Node;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Callers at once.
const CONNECTIONS: usize = 100;
/// How long one measurement takes.
const ROUND: Duration = Duration::from_secs(5);
/// Measurements of each, in turn; medians are shown.
const ROUNDS: usize = 5;
/// How long blocks are counted.
const BLOCKS: Duration = Duration::from_secs(30);
/// Subscribers at once.
const SUBSCRIBERS: usize = 1_000;
/// Calls over which the memory must stay.
const MANY: u64 = 1_000_000;

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|w| w != "--bench")
        .collect();
    match words.first().map(String::as_str) {
        Some("echo") => runtime().block_on(echo()),
        Some(binary) => runtime().block_on(measure(binary)),
        None => println!(
            "name the binary: cargo bench -p larder-rpc --bench calls -- target/release/larder"
        ),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

/// The reference: parses the call and gives its parameters back.
async fn echo() {
    let mut module = RpcModule::new(());
    module
        .register_method("ledger_getBalance", |params, (), _| {
            params.parse::<serde_json::Value>()
        })
        .unwrap();
    let server = jsonrpsee::server::Server::builder();
    let server = server.build("127.0.0.1:0").await.unwrap();
    println!("{}", server.local_addr().unwrap());
    server.start(module).stopped().await;
}

async fn measure(binary: &str) {
    let node = Node::start(binary);
    let (echo, at) = node::echo();
    let ask = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ledger_getBalance","params":{{"account":"{}"}}}}"#,
        node.account
    );
    println!("{CONNECTIONS} connections, {ROUNDS} rounds of {ROUND:?}, in turn; medians");
    for wire in [Wire::Http, Wire::WebSocket] {
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(round(node.at, &node.bearer, &ask, wire).await);
            bare.push(round(at, "Bearer none", &ask, wire).await);
        }
        let (ours, bare) = (Round::median(ours), Round::median(bare));
        println!(
            "{wire:?}: ours {ours}; bare echo {bare}; {:.2} of it",
            ours.rate() / bare.rate()
        );
    }
    drop(echo);
    subscribers(&node).await;
    memory(&node, &ask).await;
}

async fn round(at: SocketAddr, bearer: &str, ask: &str, wire: Wire) -> Round {
    run(
        at,
        bearer,
        ask,
        wire,
        CONNECTIONS,
        Instant::now() + ROUND,
        u64::MAX,
    )
    .await
}

async fn subscribers(node: &Node) {
    let alone = node.blocks(BLOCKS).await;
    let sockets = load::subscribe(node.at, &node.bearer, SUBSCRIBERS).await;
    let crowded = node.blocks(BLOCKS).await;
    let next = node.height().await + 3;
    let heard = load::heard(sockets, next..next + 9).await;
    println!(
        "blocks in {BLOCKS:?}: {alone} alone, {crowded} with {SUBSCRIBERS} subscribers; each heard 9 blocks in a \
         row; from the first to hear a block to the last: median {:.1} ms",
        heard.as_secs_f64() * 1e3
    );
}

async fn memory(node: &Node, ask: &str) {
    let before = node.rss();
    let far = Instant::now() + Duration::from_secs(3_600);
    for part in 1..=4 {
        run(
            node.at,
            &node.bearer,
            ask,
            Wire::WebSocket,
            CONNECTIONS,
            far,
            MANY / 4,
        )
        .await;
        println!(
            "memory after {} calls: {} KiB (before: {before} KiB)",
            MANY / 4 * part,
            node.rss()
        );
    }
}
