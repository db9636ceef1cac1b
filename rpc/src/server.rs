//! One port for everything local: JSON-RPC over HTTP and WebSocket at `/rpc`, `/healthz`,
//! `/readyz` and `/metrics`. Limits lie here: connections, times, sizes of requests, lengths of batches.

mod invalid;

use crate::access::{Cookie, Guard, admitted, local_only};
use crate::api::{Api, auth, dispatch};
use crate::discover::{DISCOVER, document};
use crate::feeds::{Feeds, subscriptions};
use crate::gate::{Gate, Gated};
use crate::metrics::{Refused, RpcMetrics};
use crate::probes::{self, Probes};
use crate::tokens::Tokens;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, CONTENT_LENGTH};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use jsonrpsee::server::middleware::rpc::RpcServiceBuilder;
use jsonrpsee::server::{
    BatchRequestConfig, PingConfig, ServerBuilder, ServerConfig, ServerHandle, StopHandle,
    TowerServiceBuilder, stop_channel,
};
use jsonrpsee::{Methods, RpcModule};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::Service as _;
use tower::layer::util::Identity;

/// What one port bears.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Connections at once, WebSockets included.
    connections: usize,
    /// Calls at once, of all connections: each holds a task and its parameters.
    calls: usize,
    /// How long a caller may take over a request's head, and stay silent between two requests.
    head: Duration,
    /// How long a caller may take over a request's body.
    body: Duration,
    /// How long a caller may leave an answer unread.
    answer: Duration,
}

/// A thousand subscribers, and room for programs.
const LIMITS: Limits = Limits {
    connections: 1_280,
    calls: 4_096,
    head: Duration::from_secs(15),
    body: Duration::from_secs(15),
    answer: Duration::from_secs(60),
};
/// How long a WebSocket whose peer answers no ping is kept.
const SILENCE: Duration = Duration::from_secs(60);
/// A request's size: the longest is a backup of many paths.
const MAX_REQUEST: u32 = 1 << 20;
/// A response's size: a page of 1,000 long paths.
const MAX_RESPONSE: u32 = 10 << 20;
/// Calls in a batch.
const MAX_BATCH: u32 = 100;
/// Subscriptions of one WebSocket.
const MAX_SUBSCRIPTIONS: u32 = 256;
/// Answers that wait for a slow WebSocket before its calls wait too.
const WS_BUFFER: u32 = 64;
/// How long open connections may take to end once the server stops.
const STOP_DEADLINE: Duration = Duration::from_secs(3);
/// What a caller beyond the last connection reads.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 21\r\n\r\ntoo many connections\n";

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
    /// The tokens cannot be read.
    #[error(
        "cannot read the tokens in {path}: {source}; mend the file, or remove it to revoke them all"
    )]
    Tokens {
        /// Where they are kept.
        path: String,
        /// Why not.
        source: io::Error,
    },
}

/// Where a server listens, and whom it lets in.
#[derive(Debug, Clone)]
pub struct Door {
    /// The address; port 0: any.
    pub address: SocketAddr,
    /// Where the cookie is written.
    pub cookie: PathBuf,
    /// Where the tokens are kept.
    pub tokens: PathBuf,
    /// Names by which others reach it, `nas.local:4730`, beside those of the loopback.
    pub hosts: Vec<String>,
}

impl Door {
    /// The door of a node in `home`.
    #[must_use]
    pub fn of_home(home: &Path, address: SocketAddr) -> Self {
        Self {
            address,
            cookie: crate::endpoint::cookie_path(home),
            tokens: crate::tokens::tokens_path(home),
            hosts: Vec::new(),
        }
    }
}

/// A running server. Dropping it stops it; [`Server::stop`] waits for the end.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    handle: ServerHandle,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Refuses new connections, lets running calls end, waits at most three seconds for them.
    pub async fn stop(self) {
        self.stop.cancel();
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

/// Serves `api` and `feeds` to callers that show the cookie or a token.
///
/// # Errors
/// [`ServeError`] if the address is taken, the cookie cannot be written or the tokens not be read.
pub async fn serve<A: Api + Probes>(
    door: Door,
    api: Arc<A>,
    feeds: Arc<Feeds>,
) -> Result<Server, ServeError> {
    serve_methods(door, LIMITS, dispatch(Arc::clone(&api)), api, feeds).await
}

async fn serve_methods<P: Probes>(
    door: Door,
    limits: Limits,
    methods: impl Into<Methods>,
    probes: Arc<P>,
    feeds: Arc<Feeds>,
) -> Result<Server, ServeError> {
    let address = door.address;
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
    let secret = Cookie::create(&door.cookie).map_err(|source| ServeError::Cookie {
        path: door.cookie.display().to_string(),
        source,
    })?;
    let tokens = Tokens::open(&door.tokens).map_err(|source| ServeError::Tokens {
        path: door.tokens.display().to_string(),
        source,
    })?;
    let tokens = Arc::new(tokens);
    let counts = probes.counts();
    let stop = CancellationToken::new();
    let (stopped, handle) = stop_channel();
    let rpc = Rpc {
        methods: with_own(methods, feeds, &tokens, &stop),
        service: ServerBuilder::with_config(of_calls()).to_service_builder(),
        limits,
        stop: stopped,
        gate: Arc::new(Gate::new(
            Arc::clone(&tokens),
            stop.clone(),
            limits.calls,
            MAX_RESPONSE as usize,
            counts.clone(),
        )),
    };
    let app = routes(rpc, probes, &Guard::new(secret, tokens, bound, door.hosts));
    let task = tokio::spawn(listen(listener, app, limits, stop.clone(), counts));
    Ok(Server {
        address: bound,
        handle,
        stop,
        task,
    })
}

/// The node's methods, and those that the server answers itself.
///
/// # Panics
/// If two share a name, which the tests would show.
fn with_own(
    methods: impl Into<Methods>,
    feeds: Arc<Feeds>,
    tokens: &Arc<Tokens>,
    stop: &CancellationToken,
) -> Methods {
    let mut own = RpcModule::from_arc(Arc::clone(tokens));
    auth::register(&mut own);
    let document = document();
    own.register_method(DISCOVER, move |params, _, _| {
        crate::api::read::<crate::values::Empty>(&params).map(|_| document.clone())
    })
    .expect("names are distinct");
    let mut all = methods.into();
    for more in [
        Methods::from(own),
        subscriptions(feeds, tokens, stop).into(),
    ] {
        all.merge(more).expect("names are distinct");
    }
    all
}

/// Takes connections until the end, no more at once than there may be, each with its time.
async fn listen(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    stop: CancellationToken,
    counts: RpcMetrics,
) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let mut open = JoinSet::new();
    loop {
        let taken = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = open.join_next() => continue,
            taken = listener.accept() => taken,
        };
        let stream = match taken {
            Ok((stream, _)) => stream,
            // Of the process, as no descriptor being free: others may end meanwhile.
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection to the RPC");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        match Arc::clone(&room).try_acquire_owned() {
            Ok(place) => {
                let (app, stop) = (app.clone(), stop.clone());
                let counted = counts.connection();
                open.spawn(async move {
                    connection(stream, app, limits, &stop).await;
                    drop((place, counted));
                });
            }
            Err(_) => {
                counts.refused(Refused::Connections);
                turn_away(stream).await;
            }
        }
    }
    while open.join_next().await.is_some() {}
}

/// Without waiting for whoever does not read.
async fn turn_away(mut stream: TcpStream) {
    let said = stream.write_all(FULL);
    if tokio::time::timeout(Duration::from_millis(100), said)
        .await
        .is_err()
    {
        tracing::debug!("a caller beyond the last connection does not listen");
    }
}

async fn connection(stream: TcpStream, app: Router, limits: Limits, stop: &CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    // Else one that asks on and reads nothing would have its answers pile up here.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.answer));
    let service = TowerToHyperService::new(app);
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
        .with_upgrades();
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the RPC broke off");
    }
}

fn routes<P: Probes>(rpc: Rpc, probes: Arc<P>, guard: &Guard) -> Router {
    Router::new()
        .route("/rpc", any(call))
        .layer(from_fn_with_state(guard.clone(), admitted))
        .with_state(rpc)
        .merge(probes::routes(probes))
        .layer(from_fn_with_state(guard.clone(), local_only))
}

fn of_calls() -> ServerConfig {
    let pings = PingConfig::new().inactive_limit(SILENCE).max_failures(1);
    ServerConfig::builder()
        .max_connections(u32::MAX)
        .max_request_body_size(MAX_REQUEST)
        .max_response_body_size(MAX_RESPONSE)
        .max_subscriptions_per_connection(MAX_SUBSCRIPTIONS)
        .set_batch_request_config(BatchRequestConfig::Limit(MAX_BATCH))
        .set_message_buffer_capacity(WS_BUFFER)
        .enable_ws_ping(pings)
        .build()
}

/// What answers `/rpc`.
#[derive(Clone)]
struct Rpc {
    methods: Methods,
    service: TowerServiceBuilder<Identity, Identity>,
    stop: StopHandle,
    gate: Arc<Gate>,
    limits: Limits,
}

impl fmt::Debug for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rpc")
    }
}

async fn call(State(rpc): State<Rpc>, request: Request) -> Response {
    let (request, body) = match whole(request, rpc.limits.body).await {
        Ok(whole) => whole,
        Err(refused) => return refused,
    };
    let gate = rpc.gate;
    let gated = RpcServiceBuilder::new().layer_fn(move |inner| Gated {
        gate: Arc::clone(&gate),
        inner,
    });
    let mut service = rpc
        .service
        .set_rpc_middleware(gated)
        .build(rpc.methods, rpc.stop);
    match service.call(request).await {
        Ok(response) => invalid::told(response.map(Body::new), &body).await,
        Err(error) => {
            tracing::debug!(%error, "an RPC request broke off");
            StatusCode::BAD_REQUEST.into_response()
        }
    }
}

/// The request and its body, read in time and within bounds; an upgrade has none.
async fn whole(request: Request, time: Duration) -> Result<(Request, Bytes), Response> {
    let (parts, body) = request.into_parts();
    let declared = parts.headers.get(CONTENT_LENGTH);
    let declared: Option<u64> = declared.and_then(|n| n.to_str().ok()?.parse().ok());
    if declared.is_some_and(|declared| declared > u64::from(MAX_REQUEST)) {
        return Err(refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "a request has at most 1 MiB\n",
        ));
    }
    match tokio::time::timeout(time, to_bytes(body, MAX_REQUEST as usize)).await {
        Ok(Ok(bytes)) => Ok((Request::from_parts(parts, Body::from(bytes.clone())), bytes)),
        Ok(Err(_)) => Err(refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "a request has at most 1 MiB, and comes whole\n",
        )),
        Err(_) => Err(refuse(
            StatusCode::REQUEST_TIMEOUT,
            "a request comes whole, and soon\n",
        )),
    }
}

fn refuse(status: StatusCode, why: &'static str) -> Response {
    (status, [(CONNECTION, "close")], why).into_response()
}

#[cfg(test)]
mod tests;
