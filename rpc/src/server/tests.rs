//! The port against clients that mean well, and against those that do not.

mod abuse;
mod access;
mod subscribers;

use super::*;
use crate::client::{Client, ClientError};
use crate::endpoint::{Endpoint, cookie_path};
use crate::errors::{Code, RpcError};
use crate::values::Empty;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jsonrpsee::core::client::ClientT as _;
use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::ws_client::{WsClient, WsClientBuilder};
use jsonrpsee::{RpcModule, rpc_params};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

struct Probe;

impl Probes for Probe {
    async fn alive(&self) -> bool {
        true
    }
    async fn lacking(&self) -> Vec<String> {
        vec!["no block".into()]
    }
    async fn metrics(&self) -> String {
        "larder_up 1\n".into()
    }
    fn counts(&self) -> RpcMetrics {
        RpcMetrics::default()
    }
}

/// `hang` gives a permit when it is called, and never answers.
fn methods(hung: Arc<Semaphore>) -> RpcModule<Semaphore> {
    let mut module = RpcModule::from_arc(hung);
    module.register_method("echo", |_, _, _| "hello").unwrap();
    module
        .register_method("large", |_, _, _| "x".repeat(1 << 20))
        .unwrap();
    module
        .register_method("refuse", |_, _, _| {
            Err::<(), ErrorObjectOwned>(RpcError::new(Code::NoQuota, "no room").into())
        })
        .unwrap();
    module
        .register_async_method("hang", async |_, hung, _| {
            hung.add_permits(1);
            std::future::pending::<()>().await;
        })
        .unwrap();
    module
}

async fn start(home: &Path) -> Server {
    start_with(home, LIMITS, Arc::default()).await
}

async fn start_with(home: &Path, limits: Limits, feeds: Arc<Feeds>) -> Server {
    start_hanging(home, limits, feeds, Arc::new(Semaphore::new(0))).await
}

async fn start_hanging(
    home: &Path,
    limits: Limits,
    feeds: Arc<Feeds>,
    hung: Arc<Semaphore>,
) -> Server {
    let door = Door::of_home(home, "127.0.0.1:0".parse().unwrap());
    let server = serve_methods(door, limits, methods(hung), Arc::new(Probe), feeds)
        .await
        .unwrap();
    Endpoint::own(server.address()).publish(home).unwrap();
    server
}

/// The `Authorization` of the home's own programs.
fn bearer(home: &Path) -> String {
    let cookie = Cookie::read(&cookie_path(home)).unwrap();
    cookie.bearer().to_string()
}

async fn web_socket(server: &Server, authorization: &str) -> WsClient {
    let mut headers = http::HeaderMap::new();
    headers.insert("authorization", authorization.parse().unwrap());
    WsClientBuilder::default()
        .set_headers(headers)
        .build(format!("ws://{}/rpc", server.address()))
        .await
        .unwrap()
}

/// What a call over HTTP answers.
async fn post(server: &Server, authorization: &str, body: &str) -> (u16, Value) {
    let at = server.address();
    let request = format!(
        "POST /rpc HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nAuthorization: {authorization}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (status, answer) = raw(at, &request).await;
    (
        status,
        serde_json::from_str(&answer).unwrap_or(Value::String(answer)),
    )
}

/// A call in JSON.
fn call(method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
}

/// The status and the body that a raw request gets.
async fn raw(at: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    (status, body)
}

async fn get_as(at: SocketAddr, path: &str, headers: &str) -> (u16, String) {
    raw(
        at,
        &format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n"),
    )
    .await
}

#[tokio::test]
async fn a_client_of_the_home_gets_answers_and_refusals() {
    let home = tempfile::tempdir().unwrap();
    assert!(matches!(
        Client::of_home(home.path()),
        Err(ClientError::NotRunning(_))
    ));
    let server = start(home.path()).await;
    let mode = cookie_path(home.path()).metadata().unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let client = Client::of_home(home.path()).unwrap();
    let hello: String = client.call("echo", &Empty {}).await.unwrap();
    assert_eq!(hello, "hello");
    let unknown = json!({ "me": 1 });
    let misused = client.call::<_, Value>("auth_whoami", &unknown).await;
    let misused = misused.unwrap_err();
    assert!(
        misused.to_string().contains("unknown field `me`"),
        "{misused}"
    );
    assert_eq!(misused.exit_code(), 2);
    let refused = client.call::<_, ()>("refuse", &Empty {}).await.unwrap_err();
    assert_eq!((refused.exit_code(), refused.retryable()), (21, true));
    assert_eq!(refused.to_string(), "no room");
    Cookie::create(&cookie_path(home.path())).unwrap();
    let stranger = Client::of_home(home.path()).unwrap();
    let refused = stranger.call::<_, ()>("echo", &Empty {}).await.unwrap_err();
    assert_eq!(refused.exit_code(), 11, "{refused}");
    server.stop().await;
    let gone = client.call::<_, ()>("echo", &Empty {}).await.unwrap_err();
    assert_eq!(gone.exit_code(), 11, "{gone}");
}

#[tokio::test]
async fn strangers_other_hosts_and_other_origins_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let server = start(home.path()).await;
    let at = server.address();
    let host = format!("Host: {at}\r\n");
    assert_eq!(get_as(at, "/healthz", &host).await, (200, "ok\n".into()));
    let (status, body) = get_as(at, "/readyz", &host).await;
    let body: crate::Readiness = serde_json::from_str(&body).unwrap();
    assert_eq!((status, body.ready, body.reasons.len()), (503, false, 1));
    assert!(get_as(at, "/metrics", &host).await.1.contains("larder_up"));
    let local = format!("Host: localhost:{}\r\n", at.port());
    assert_eq!(get_as(at, "/healthz", &local).await.0, 200);
    assert_eq!(
        get_as(at, "/healthz", "Host: evil.example\r\n").await.0,
        403
    );
    let origin = format!("{host}Origin: https://evil.example\r\n");
    assert_eq!(get_as(at, "/healthz", &origin).await.0, 403);
    let own = format!("{host}Origin: http://{at}\r\n");
    assert_eq!(get_as(at, "/healthz", &own).await.0, 200);
    assert_eq!(get_as(at, "/rpc", &host).await.0, 401);
    let wrong = format!("{host}Authorization: Bearer 00\r\n");
    assert_eq!(get_as(at, "/rpc", &wrong).await.0, 401);
    let upgrade = format!(
        "{host}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    assert_eq!(get_as(at, "/rpc", &upgrade).await.0, 401);
    server.stop().await;
}

#[tokio::test]
async fn websockets_work_with_the_cookie() {
    let home = tempfile::tempdir().unwrap();
    let server = start(home.path()).await;
    let client = web_socket(&server, &bearer(home.path())).await;
    let hello: String = client.request("echo", rpc_params![]).await.unwrap();
    assert_eq!(hello, "hello");
    server.stop().await;
}

#[tokio::test]
async fn a_used_port_is_named_with_its_mend() {
    let home = tempfile::tempdir().unwrap();
    let server = start(home.path()).await;
    let other = tempfile::tempdir().unwrap();
    let door = Door::of_home(other.path(), server.address());
    let refused = serve_methods(
        door,
        LIMITS,
        RpcModule::new(()),
        Arc::new(Probe),
        Arc::default(),
    )
    .await
    .unwrap_err();
    assert!(refused.to_string().contains("--rpc"), "{refused}");
    server.stop().await;
}
