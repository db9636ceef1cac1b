//! What every call passes, over HTTP and WebSocket, alone and in a batch: scope, method list, rate, the
//! number of calls at once, and an answer even if the node stops meanwhile.

use crate::api::{Method, all};
use crate::errors::{Code, RpcError};
use crate::feeds;
use crate::metrics::{Outcome, Refused, RpcMetrics};
use crate::tokens::{Caller, Scope, Tokens};
use crate::values::now;
use jsonrpsee::BatchResponseBuilder;
use jsonrpsee::MethodResponse;
use jsonrpsee::server::middleware::rpc::{Batch, BatchEntry, Notification, Request, RpcServiceT};
use jsonrpsee::types::ErrorObjectOwned;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// How long a running call may take to end by itself once the node stops.
const LAST_WORDS: Duration = Duration::from_secs(1);

tokio::task_local! {
    static CALLER: Caller;
}

/// Who makes the call that runs in this task.
pub(crate) fn caller() -> Option<Caller> {
    CALLER.try_with(Clone::clone).ok()
}

/// What a caller hears whose token counts no more.
pub(crate) fn taken_back() -> RpcError {
    let why = "this token was taken back or has expired: ask the node's owner for another";
    RpcError::new(Code::Unauthenticated, why)
}

/// What all calls share.
pub(crate) struct Gate {
    scopes: HashMap<&'static str, Scope>,
    tokens: Arc<Tokens>,
    calls: Arc<Semaphore>,
    stop: CancellationToken,
    max_response: usize,
    counts: RpcMetrics,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

impl Gate {
    pub(crate) fn new(
        tokens: Arc<Tokens>,
        stop: CancellationToken,
        calls: usize,
        max_response: usize,
        counts: RpcMetrics,
    ) -> Self {
        let scopes = all().map(|Method { name, scope, .. }| (*name, *scope));
        let leave = feeds::SUBSCRIPTIONS
            .iter()
            .map(|s| (s.leave, s.method.scope));
        Self {
            scopes: scopes.chain(leave).collect(),
            tokens,
            calls: Arc::new(Semaphore::new(calls)),
            stop,
            max_response,
            counts,
        }
    }

    /// Whether a call may be made. A method that nobody knows is left to say so itself.
    fn admit(&self, method: &str, caller: Option<&Caller>) -> Result<(), RpcError> {
        let caller = caller.filter(|caller| self.tokens.counts(caller, now()));
        let caller = caller.ok_or_else(taken_back)?;
        let scope = self.scopes.get(method).copied().unwrap_or(Scope::Read);
        // Who may subscribe may leave.
        let left = feeds::SUBSCRIPTIONS.iter().find(|s| s.leave == method);
        caller.may(left.map_or(method, |s| s.method.name), scope)
    }
}

/// Calls behind the gate.
#[derive(Debug, Clone)]
pub(crate) struct Gated<S> {
    pub(crate) gate: Arc<Gate>,
    pub(crate) inner: S,
}

impl<S> RpcServiceT for Gated<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type MethodResponse = MethodResponse;
    type NotificationResponse = MethodResponse;
    type BatchResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let Self { gate, inner } = self.clone();
        async move {
            let id = request.id.clone().into_owned();
            let refuse =
                |why: RpcError| MethodResponse::error(id.clone(), ErrorObjectOwned::from(why));
            let caller = request.extensions.get::<Caller>().cloned();
            if let Err(why) = gate.admit(&request.method, caller.as_ref()) {
                gate.counts.refused(reason(why.code));
                return refuse(why);
            }
            let turn = gate.calls.try_acquire().ok();
            // The owner is let through: it may be here to end what fills the places.
            if turn.is_none() && !matches!(caller, Some(Caller::Owner)) {
                let why = "too many calls at once: wait for answers before you call again";
                gate.counts.refused(Refused::Rate);
                return refuse(RpcError::new(Code::TooManyCalls, why));
            }
            let (method, began) = (request.method.to_string(), Instant::now());
            let call = inner.call(request);
            let call = async {
                match caller {
                    Some(caller) => CALLER.scope(caller, call).await,
                    None => call.await,
                }
            };
            let answer = tokio::select! {
                biased;
                answer = call => answer,
                () = last_words(&gate.stop) => {
                    refuse(RpcError::new(Code::Stopping, "the node stops: call again when it is back"))
                }
            };
            let outcome = match answer.is_success() {
                true => Outcome::Done,
                false => Outcome::Failed,
            };
            gate.counts
                .called(&method, outcome, began.elapsed().as_secs_f64());
            answer
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let this = self.clone();
        async move {
            let mut answers = BatchResponseBuilder::new_with_limit(this.gate.max_response);
            let mut notified = false;
            for entry in batch {
                let answer = match entry {
                    Ok(BatchEntry::Call(request)) => this.call(request).await,
                    Ok(BatchEntry::Notification(_)) => {
                        notified = true;
                        continue;
                    }
                    Err(malformed) => {
                        let (error, id) = malformed.into_parts();
                        MethodResponse::error(id, error)
                    }
                };
                if let Err(too_long) = answers.append(answer) {
                    return too_long;
                }
            }
            if answers.is_empty() && notified {
                return MethodResponse::notification();
            }
            MethodResponse::from_batch(answers.finish())
        }
    }

    /// A notification asks for no answer, and nothing here is done unless its outcome is told.
    fn notification<'a>(
        &self,
        _: Notification<'a>,
    ) -> impl Future<Output = MethodResponse> + Send + 'a {
        std::future::ready(MethodResponse::notification())
    }
}

/// What a refusal counts as.
fn reason(code: Code) -> Refused {
    if code == Code::Unauthenticated {
        Refused::Unauthenticated
    } else if code == Code::TooFast {
        Refused::Rate
    } else {
        Refused::Scope
    }
}

async fn last_words(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(LAST_WORDS).await;
}
