//! Subscriptions. Each has a ring of the newest notices; a subscriber that falls behind the ring is told
//! how many it missed (`lagged`) and goes on with what there is: a slow one costs the node nothing
//! and delays nobody.

use crate::api::{Method, read, reads, schema};
use crate::errors::{Code, RpcError};
use crate::gate::taken_back;
use crate::tokens::{Caller, Scope, Tokens};
use crate::types::Job;
use crate::types::feed::{BlockNotice, JobFilter, Lagged, NodeNotice, TxFilter, TxNotice};
use crate::values::{Empty, now};
use jsonrpsee::RpcModule;
use jsonrpsee::core::SubscriptionError;
use jsonrpsee::core::server::SubscriptionSink;
use jsonrpsee::types::ErrorObjectOwned;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::marker::PhantomData;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;

/// Notices that a subscriber may be behind: some seconds of a busy chain.
const RING: usize = 1_024;

/// What is told to subscribers of one kind.
#[derive(Debug)]
pub struct Feed<T>(Sender<Arc<Notice>>, PhantomData<fn(T)>);

#[derive(Debug)]
struct Notice {
    about: Vec<String>,
    text: Box<RawValue>,
}

/// Which notices a subscriber wants, by what they are about.
pub(crate) trait Wanted {
    fn wants(&self, about: &[String]) -> bool;
}

impl Wanted for Empty {
    fn wants(&self, _: &[String]) -> bool {
        true
    }
}

impl Wanted for TxFilter {
    fn wants(&self, about: &[String]) -> bool {
        let names = [
            self.tx.map(|tx| tx.to_string()),
            self.account.map(|account| account.to_string()),
        ];
        names
            .into_iter()
            .flatten()
            .all(|name| about.contains(&name))
    }
}

impl Wanted for JobFilter {
    fn wants(&self, about: &[String]) -> bool {
        self.job.as_ref().is_none_or(|job| about.contains(job))
    }
}

impl<T> Default for Feed<T> {
    fn default() -> Self {
        Self(channel(RING).0, PhantomData)
    }
}

impl<T: Serialize> Feed<T> {
    /// Tells subscribers; `about` are the ids by which they choose. Costs nothing if nobody listens,
    /// and never waits.
    pub fn tell(&self, value: &T, about: impl FnOnce() -> Vec<String>) {
        if self.0.receiver_count() == 0 {
            return;
        }
        match to_raw_value(value) {
            // An error says that the last subscriber has just gone.
            Ok(text) => drop(self.0.send(Arc::new(Notice {
                about: about(),
                text,
            }))),
            Err(error) => tracing::error!(%error, "a notice cannot be written as JSON"),
        }
    }

    /// Waits until nobody listens.
    #[cfg(test)]
    pub(crate) async fn all_gone(&self) {
        self.0.closed().await;
    }

    /// Whether anybody would hear.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.0.receiver_count() > 0
    }
}

/// A row of the table of subscriptions.
#[derive(Debug, Clone, Copy)]
pub struct Subscription {
    /// The method that begins it; its `result` is the schema of what a notification brings.
    pub method: Method,
    /// The name in its notifications.
    pub notice: &'static str,
    /// The method that ends it.
    pub leave: &'static str,
}

macro_rules! subscriptions {
    ($(
        $(#[doc = $doc:literal])+
        $name:literal $notice:literal $leave:literal $feed:ident($params:ty) -> $value:ty, $scope:ident;
    )+) => {
        /// What a node tells its subscribers.
        #[derive(Debug, Default)]
        pub struct Feeds {
            $($(#[doc = $doc])+
            pub $feed: Feed<$value>,)+
        }

        /// Every subscription, in order.
        pub const SUBSCRIPTIONS: &[Subscription] = &[$(Subscription {
            method: Method {
                name: $name,
                about: &[$($doc),+],
                scope: Scope::$scope,
                params: schema::<$params>,
                fields: serde_aux::serde_introspection::serde_introspect::<$params>,
                result: notice::<$value>,
                reads: reads::<$value>,
            },
            notice: $notice,
            leave: $leave,
        },)+];

        /// Every subscription of `feeds`, ready to be served until `stop`.
        ///
        /// # Panics
        /// If two rows share a name, which the tests would show.
        pub(crate) fn subscriptions(
            feeds: Arc<Feeds>,
            tokens: &Arc<Tokens>,
            stop: &CancellationToken,
        ) -> RpcModule<Feeds> {
            let mut module = RpcModule::from_arc(feeds);
            $({
                let (tokens, stop) = (Arc::clone(tokens), stop.clone());
                module
                    .register_subscription($name, $notice, $leave, move |params, pending, feeds, call| {
                        let (tokens, stop) = (Arc::clone(&tokens), stop.clone());
                        let caller = call.get::<Caller>().cloned();
                        let counts = move || caller.as_ref().is_some_and(|c| tokens.counts(c, now()));
                        async move {
                            let wanted: $params = match read(&params) {
                                Ok(wanted) => wanted,
                                Err(refused) => {
                                    pending.reject(refused).await;
                                    return Ok(());
                                }
                            };
                            // Before the caller hears that it is in: nothing is missed after.
                            let notices = feeds.$feed.0.subscribe();
                            // An error says that the caller has gone.
                            let Ok(sink) = pending.accept().await else { return Ok(()) };
                            follow(&sink, notices, &wanted, counts, &stop).await
                        }
                    })
                    .expect("names are distinct");
            })+
            module
        }
    };
}

subscriptions! {
    /// How the node is, whenever that has changed: blocks, peers, jobs, alerts.
    "node_subscribe" "node_subscription" "node_unsubscribe" node(Empty) -> NodeNotice, Read;
    /// Each new block. A node has final blocks only, so that none is ever taken back.
    "chain_subscribe" "chain_subscription" "chain_unsubscribe" chain(Empty) -> BlockNotice, Read;
    /// Each transaction that a block holds; of an account or with an id, if that is named.
    "tx_subscribe" "tx_subscription" "tx_unsubscribe" tx(TxFilter) -> TxNotice, Read;
    /// Jobs, whenever one goes on.
    "job_subscribe" "job_subscription" "job_unsubscribe" job(JobFilter) -> Job, Admin;
}

/// What a notification brings: the value, or that some were missed.
fn notice<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let (value, lagged) = (schema::<T>(generator), schema::<Lagged>(generator));
    json_schema!({ "oneOf": [value, lagged] })
}

/// Tells one subscriber until it leaves or the node stops, which it is told too.
async fn follow(
    sink: &SubscriptionSink,
    mut notices: Receiver<Arc<Notice>>,
    wanted: &(impl Wanted + Sync),
    counts: impl Fn() -> bool + Send,
    stop: &CancellationToken,
) -> Result<(), SubscriptionError> {
    loop {
        let next = tokio::select! {
            biased;
            () = sink.closed() => return Ok(()),
            () = stop.cancelled() => return Err(ended_by(stopping())),
            next = notices.recv() => next,
        };
        if !counts() {
            return Err(ended_by(taken_back()));
        }
        let text = match next {
            Ok(notice) if !wanted.wants(&notice.about) => continue,
            Ok(notice) => notice.text.clone(),
            Err(RecvError::Lagged(lagged)) => to_raw_value(&Lagged { lagged })?,
            Err(RecvError::Closed) => return Err(ended_by(stopping())),
        };
        if sink.send(text).await.is_err() {
            return Ok(());
        }
    }
}

fn stopping() -> RpcError {
    let why = "the node stops: subscribe again when it is back";
    RpcError::new(Code::Stopping, why)
}

fn ended_by(why: RpcError) -> SubscriptionError {
    match to_raw_value(&ErrorObjectOwned::from(why)) {
        Ok(text) => SubscriptionError::from_json(text),
        Err(e) => e.into(),
    }
}
