//! The typed client: finds the node of a home by its `rpc.json`, shows its cookie, asks. The
//! methods themselves come from the registry in [`crate::api`].

use crate::access::Cookie;
use crate::endpoint::{Endpoint, cookie_path};
use crate::errors::Code;
use crate::feeds::Subscription as Row;
use crate::values::{Page, PageParams};
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use jsonrpsee::core::client::{ClientT as _, Error, Subscription, SubscriptionClientT as _};
use jsonrpsee::core::traits::ToRpcParams;
use jsonrpsee::http_client::{HttpClient, HttpClientBuilder, transport};
use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::types::error::{INVALID_PARAMS_CODE, METHOD_NOT_FOUND_CODE};
use jsonrpsee::ws_client::{WsClient, WsClientBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long a call may take. Long work is a job, so that only a stuck node takes longer.
const TIMEOUT: Duration = Duration::from_secs(90);

/// A client of one node.
#[derive(Debug, Clone)]
pub struct Client {
    http: HttpClient,
    whom: Whom,
    /// Of the WebSocket.
    url: String,
    headers: HeaderMap,
}

/// What a subscription tells.
#[derive(Debug)]
pub struct Notices {
    told: Subscription<Value>,
    /// The subscription ends with its socket.
    _socket: WsClient,
}

impl Notices {
    /// The next notice; `None` if the node ended the subscription without a word.
    ///
    /// # Errors
    /// What the node ended it with.
    pub async fn next(&mut self) -> Result<Option<Value>, ClientError> {
        let next = self.told.next().await.transpose();
        next.map_err(|e| ClientError::Transport(e.to_string()))
    }
}

/// Whose node is asked.
#[derive(Debug, Clone)]
enum Whom {
    Home(String),
    Url(String),
}

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No node runs in the home.
    #[error("no node runs in {0}: start it with `larder --home {0} up`")]
    NotRunning(String),
    /// No node answers at an address, or none that lets us in.
    #[error(
        "no node answers us at {0}: is it running there? A node answers who shows its cookie; name that file with --cookie"
    )]
    NotThere(String),
    /// A node runs, and its files cannot be read.
    #[error("cannot read how to reach the node of {home}: {source}")]
    Unreadable {
        /// The home.
        home: String,
        /// Why not.
        source: io::Error,
    },
    /// The node refused or failed, with a row of our table.
    #[error("{message}")]
    Refused {
        /// Which row.
        code: Code,
        /// One line that names the mend.
        message: String,
    },
    /// The node answered with another error.
    #[error("the node answered error {code}: {message}")]
    Protocol {
        /// The JSON-RPC code.
        code: i32,
        /// Its message.
        message: String,
    },
    /// The call did not get through, or the answer made no sense.
    #[error("the call to the node failed: {0}")]
    Transport(String),
}

impl ClientError {
    /// The command line's exit code for it.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NotRunning(_) | Self::NotThere(_) => 11,
            Self::Refused { code, .. } => code.exit_code(),
            Self::Protocol {
                code: METHOD_NOT_FOUND_CODE | INVALID_PARAMS_CODE,
                ..
            } => 2,
            Self::Unreadable { .. } | Self::Protocol { .. } | Self::Transport(_) => 1,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        match self {
            Self::NotRunning(_) | Self::NotThere(_) | Self::Transport(_) => true,
            Self::Refused { code, .. } => code.retryable(),
            Self::Unreadable { .. } | Self::Protocol { .. } => false,
        }
    }
}

/// Parameters by name.
struct Named<'a, P>(&'a P);

impl<P: Serialize> ToRpcParams for Named<'_, P> {
    fn to_rpc_params(self) -> Result<Option<Box<RawValue>>, serde_json::Error> {
        serde_json::value::to_raw_value(self.0).map(Some)
    }
}

impl Client {
    /// A client of the node that runs in `home`.
    ///
    /// # Errors
    /// [`ClientError::NotRunning`] or [`ClientError::Unreadable`].
    pub fn of_home(home: &Path) -> Result<Self, ClientError> {
        let name = home.display().to_string();
        let unreadable = |source| ClientError::Unreadable {
            home: name.clone(),
            source,
        };
        let endpoint = Endpoint::read(home)
            .map_err(unreadable)?
            .ok_or_else(|| ClientError::NotRunning(name.clone()))?;
        let cookie = Cookie::read(&cookie_path(home)).map_err(unreadable)?;
        Self::new(&endpoint.url(), Some(&cookie), Whom::Home(name))
    }

    /// A client of the node at a URL, `http://127.0.0.1:4730`, showing the cookie in a file of that node.
    ///
    /// # Errors
    /// [`ClientError`] if the cookie cannot be read, or the URL is none.
    pub fn at(url: &str, cookie: Option<&Path>) -> Result<Self, ClientError> {
        let base = url.trim_end_matches('/').trim_end_matches("/rpc");
        let cookie = cookie.map(Cookie::read).transpose();
        let cookie = cookie.map_err(|source| ClientError::Unreadable {
            home: url.to_owned(),
            source,
        })?;
        Self::new(base, cookie.as_ref(), Whom::Url(base.to_owned()))
    }

    fn new(url: &str, cookie: Option<&Cookie>, whom: Whom) -> Result<Self, ClientError> {
        let mut headers = HeaderMap::new();
        if let Some(cookie) = cookie {
            let mut bearer = HeaderValue::from_str(&cookie.bearer())
                .map_err(|e| ClientError::Transport(e.to_string()))?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let http = HttpClientBuilder::default()
            .set_headers(headers.clone())
            .request_timeout(TIMEOUT)
            .build(format!("{url}/rpc"))
            .map_err(|e| ClientError::Transport(e.to_string()))?;
        Ok(Self {
            http,
            whom,
            url: format!("{}/rpc", url.replacen("http", "ws", 1)),
            headers,
        })
    }

    /// Calls any method by name.
    ///
    /// # Errors
    /// [`ClientError`] if the node cannot be asked or refuses.
    pub async fn call<P, R>(&self, method: &str, params: &P) -> Result<R, ClientError>
    where
        P: Serialize + Sync,
        R: DeserializeOwned,
    {
        self.http
            .request(method, Named(params))
            .await
            .map_err(|e| self.explain(e))
    }

    /// Begins a subscription, over a WebSocket of its own.
    ///
    /// # Errors
    /// [`ClientError`] if the node cannot be asked or refuses.
    pub async fn subscribe<P>(&self, row: &Row, params: &P) -> Result<Notices, ClientError>
    where
        P: Serialize + Sync,
    {
        let socket = WsClientBuilder::default()
            .set_headers(self.headers.clone())
            .build(&self.url)
            .await
            .map_err(|e| ClientError::Transport(chain(&e)))?;
        let told = socket
            .subscribe(row.method.name, Named(params), row.leave)
            .await
            .map_err(|e| self.explain(e))?;
        Ok(Notices {
            told,
            _socket: socket,
        })
    }

    fn explain(&self, error: Error) -> ClientError {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "jsonrpsee's enum; what is no answer is a transport fault"
        )]
        match error {
            Error::Call(object) => Code::from_number(object.code()).map_or_else(
                || ClientError::Protocol {
                    code: object.code(),
                    message: detailed(&object),
                },
                |code| ClientError::Refused {
                    code,
                    message: object.message().to_owned(),
                },
            ),
            Error::Transport(e) if not_ours(&*e) => match &self.whom {
                Whom::Home(home) => ClientError::NotRunning(home.clone()),
                Whom::Url(url) => ClientError::NotThere(url.clone()),
            },
            other => ClientError::Transport(chain(&other)),
        }
    }
}

/// An error's message with what it says beside, such as which parameter is unknown.
fn detailed(object: &ErrorObjectOwned) -> String {
    let detail = object.data();
    let detail = detail.and_then(|data| serde_json::from_str::<String>(data.get()).ok());
    match detail {
        Some(detail) => format!("{}: {detail}", object.message()),
        None => object.message().to_owned(),
    }
}

/// Whether nothing listens at the address, or another program that does not know the cookie: the
/// node is gone without withdrawing its `rpc.json`.
fn not_ours(error: &(dyn std::error::Error + 'static)) -> bool {
    causes(error).any(|e| {
        let closed = e
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
        let stranger = matches!(
            e.downcast_ref::<transport::Error>(),
            Some(transport::Error::Rejected { status_code: 401 })
        );
        closed || stranger
    })
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |e| e.source())
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut lines: Vec<String> = causes(error).map(ToString::to_string).collect();
    lines.dedup();
    lines.join(": ")
}

/// Every item of a list, page after page.
///
/// # Errors
/// What the first failing page answers.
pub async fn all<T, F>(page: impl Fn(PageParams) -> F) -> Result<Vec<T>, ClientError>
where
    F: Future<Output = Result<Page<T>, ClientError>>,
{
    let mut items = Vec::new();
    let mut params = PageParams::default();
    loop {
        let next = page(params.clone()).await?;
        items.extend(next.items);
        params.cursor = next.next_cursor;
        if params.cursor.is_none() {
            return Ok(items);
        }
    }
}
