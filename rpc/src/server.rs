//! One port for everything local: JSON-RPC over HTTP and WebSocket at `/rpc`, `/healthz`,
//! `/readyz` and `/metrics`. Limits lie here: connections, sizes of requests, lengths of batches.

use crate::access::{Cookie, Guard, cookie_only, local_only};
use crate::api::{Api, dispatch};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Router, serve as serve_http};
use jsonrpsee::Methods;
use jsonrpsee::server::middleware::rpc::RpcServiceBuilder;
use jsonrpsee::server::{
    BatchRequestConfig, PingConfig, ServerBuilder, ServerConfig, ServerHandle, StopHandle,
    TowerServiceBuilder, stop_channel,
};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower::Service as _;
use tower::layer::util::Identity;

/// Requests and WebSockets served at once: a dashboard, a few programs, and room for bursts.
const MAX_CONNECTIONS: u32 = 256;
/// A request's size: the longest is a backup of many paths.
const MAX_REQUEST: u32 = 1 << 20;
/// A response's size: a page of 1,000 long paths.
const MAX_RESPONSE: u32 = 10 << 20;
/// Calls in a batch.
const MAX_BATCH: u32 = 100;
/// Answers that wait for a slow WebSocket before its calls wait too.
const WS_BUFFER: u32 = 64;
/// How long open connections may take to end once the server stops.
const STOP_DEADLINE: Duration = Duration::from_secs(3);

/// What the paths beside `/rpc` ask of a node.
pub trait Probes: Send + Sync + 'static {
    /// Whether it can do its work now.
    fn ready(&self) -> impl Future<Output = bool> + Send;
    /// Its metrics in Prometheus's text format.
    fn metrics(&self) -> impl Future<Output = String> + Send;
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another program has the port.
    #[error(
        "{0} is in use by another program: choose another address with --rpc, for example --rpc 127.0.0.1:0"
    )]
    InUse(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}; choose another address with --rpc")]
    Bind(SocketAddr, #[source] io::Error),
    /// The cookie cannot be written.
    #[error("cannot write the cookie file {path}: {source}")]
    Cookie {
        /// Where it belongs.
        path: String,
        /// Why not.
        source: io::Error,
    },
}

/// A running server. Dropping it stops it; [`Server::stop`] waits for the end.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    handle: ServerHandle,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Refuses new connections, lets running calls end, waits at most three seconds for them.
    pub async fn stop(self) {
        // An error says that it stopped already.
        self.handle.stop().ok();
        let mut task = self.task;
        if tokio::time::timeout(STOP_DEADLINE, &mut task)
            .await
            .is_err()
        {
            task.abort();
        }
    }
}

/// Serves `api` on `address` (port 0: any) to callers that show the cookie written at `cookie`.
///
/// # Errors
/// [`ServeError`] if the address is taken or the cookie cannot be written.
pub async fn serve<A: Api + Probes>(
    address: SocketAddr,
    cookie: &Path,
    api: Arc<A>,
) -> Result<Server, ServeError> {
    serve_methods(address, cookie, dispatch(Arc::clone(&api)), api).await
}

async fn serve_methods<P: Probes>(
    address: SocketAddr,
    cookie: &Path,
    methods: impl Into<Methods>,
    probes: Arc<P>,
) -> Result<Server, ServeError> {
    let listener = TcpListener::bind(address).await.map_err(|e| {
        if e.kind() == io::ErrorKind::AddrInUse {
            ServeError::InUse(address)
        } else {
            ServeError::Bind(address, e)
        }
    })?;
    let bound = listener
        .local_addr()
        .map_err(|e| ServeError::Bind(address, e))?;
    let secret = Cookie::create(cookie).map_err(|source| ServeError::Cookie {
        path: cookie.display().to_string(),
        source,
    })?;
    let (stop, handle) = stop_channel();
    let rpc = Rpc {
        methods: methods.into(),
        service: ServerBuilder::with_config(limits()).to_service_builder(),
        stop: stop.clone(),
    };
    let app = routes(rpc, probes, &Guard::new(secret, bound));
    let task = tokio::spawn(
        serve_http(listener, app)
            .with_graceful_shutdown(stop.shutdown())
            .into_future(),
    );
    Ok(Server {
        address: bound,
        handle,
        task,
    })
}

fn routes<P: Probes>(rpc: Rpc, probes: Arc<P>, guard: &Guard) -> Router {
    Router::new()
        .route("/rpc", any(call))
        .layer(from_fn_with_state(guard.clone(), cookie_only))
        .with_state(rpc)
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready::<P>).with_state(Arc::clone(&probes)))
        .route("/metrics", get(metrics::<P>).with_state(probes))
        .layer(from_fn_with_state(guard.clone(), local_only))
}

fn limits() -> ServerConfig {
    ServerConfig::builder()
        .max_connections(MAX_CONNECTIONS)
        .max_request_body_size(MAX_REQUEST)
        .max_response_body_size(MAX_RESPONSE)
        .set_batch_request_config(BatchRequestConfig::Limit(MAX_BATCH))
        .set_message_buffer_capacity(WS_BUFFER)
        .enable_ws_ping(PingConfig::new())
        .build()
}

/// What answers `/rpc`.
#[derive(Clone)]
struct Rpc {
    methods: Methods,
    service: TowerServiceBuilder<Identity, Identity>,
    stop: StopHandle,
}

impl fmt::Debug for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rpc")
    }
}

async fn call(State(rpc): State<Rpc>, request: Request) -> Response {
    let mut service = rpc
        .service
        .set_rpc_middleware(RpcServiceBuilder::new())
        .build(rpc.methods, rpc.stop);
    match service.call(request).await {
        Ok(response) => response.map(Body::new),
        Err(error) => {
            tracing::debug!(%error, "an RPC request broke off");
            StatusCode::BAD_REQUEST.into_response()
        }
    }
}

async fn ready<A: Probes>(State(api): State<Arc<A>>) -> Response {
    if api.ready().await {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
    }
}

async fn metrics<A: Probes>(State(api): State<Arc<A>>) -> Response {
    let text = api.metrics().await;
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Client, ClientError};
    use crate::endpoint::{Endpoint, cookie_path};
    use crate::errors::{Code, RpcError};
    use crate::values::Empty;
    use jsonrpsee::RpcModule;
    use jsonrpsee::types::ErrorObjectOwned;
    use std::os::unix::fs::PermissionsExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    struct Probe;

    impl Probes for Probe {
        async fn ready(&self) -> bool {
            false
        }
        async fn metrics(&self) -> String {
            "larder_up 1\n".into()
        }
    }

    fn methods() -> RpcModule<()> {
        let mut module = RpcModule::new(());
        module.register_method("echo", |_, (), _| "hello").unwrap();
        module
            .register_method("refuse", |_, (), _| {
                Err::<(), ErrorObjectOwned>(RpcError::new(Code::NoQuota, "no room").into())
            })
            .unwrap();
        module
    }

    async fn start(home: &Path) -> Server {
        let any = "127.0.0.1:0".parse().unwrap();
        let server = serve_methods(any, &cookie_path(home), methods(), Arc::new(Probe))
            .await
            .unwrap();
        Endpoint::own(server.address()).publish(home).unwrap();
        server
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
        assert_eq!(get_as(at, "/readyz", &host).await.0, 503);
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
        use jsonrpsee::core::client::ClientT as _;
        let home = tempfile::tempdir().unwrap();
        let server = start(home.path()).await;
        let cookie = Cookie::read(&cookie_path(home.path())).unwrap();
        let mut headers = http::HeaderMap::new();
        headers.insert("authorization", cookie.bearer().parse().unwrap());
        let client = jsonrpsee::ws_client::WsClientBuilder::default()
            .set_headers(headers)
            .build(format!("ws://{}/rpc", server.address()))
            .await
            .unwrap();
        let hello: String = client
            .request("echo", jsonrpsee::rpc_params![])
            .await
            .unwrap();
        assert_eq!(hello, "hello");
        server.stop().await;
    }

    #[tokio::test]
    async fn a_used_port_is_named_with_its_mend() {
        let home = tempfile::tempdir().unwrap();
        let server = start(home.path()).await;
        let other = tempfile::tempdir().unwrap();
        let cookie = cookie_path(other.path());
        let refused = serve_methods(server.address(), &cookie, methods(), Arc::new(Probe))
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("--rpc"), "{refused}");
        server.stop().await;
    }
}
