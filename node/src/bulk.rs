//! Peers' bulk streams: the head is read and handed to the engine, which says what becomes of the
//! stream: an answer, a shard taken in, a shard given out.

use crate::doomed::Doomed;
use crate::driver::DriverHandle;
use crate::net::{BulkStream, FrameError, read_header, write_header};
use crate::shards::scrub::Suspects;
use crate::shards::{self, StoreError, TransferError, Volumes};
use futures::FutureExt as _;
use larder_engine::io::BulkEffect;
use larder_engine::wire::{BulkHeader, BulkReply, Deny};
use larder_engine::{Input, PeerInput, Token, VolumeId};
use larder_types::ShardRoot;
use larder_types::params::CHUNK;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a peer may take to send a stream's head.
const HEAD_WAIT: Duration = Duration::from_secs(20);

/// The streams that wait for a word of the engine.
#[derive(Debug, Clone)]
pub struct Streams {
    driver: DriverHandle,
    shards: Option<Volumes>,
    doomed: Option<Doomed>,
    suspects: Suspects,
    open: Arc<Mutex<HashMap<Token, BulkStream>>>,
    next: Arc<AtomicU64>,
}

impl Streams {
    /// No streams yet. What cannot be served as it was stored is named to `suspects`.
    #[must_use]
    pub fn new(driver: DriverHandle, shards: Option<Volumes>, suspects: Suspects) -> Self {
        Self {
            driver,
            doomed: shards.clone().map(Doomed::new),
            shards,
            suspects,
            open: Arc::default(),
            next: Arc::default(),
        }
    }

    /// A name that no request or stream had before.
    #[must_use]
    pub fn next_token(&self) -> Token {
        Token(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// A peer has opened a stream. The transport bounds how many there are.
    pub fn opened(&self, mut stream: BulkStream) {
        let streams = self.clone();
        tokio::spawn(async move {
            let from = stream.peer();
            let head = tokio::time::timeout(HEAD_WAIT, read_header::<_, BulkHeader>(&mut stream));
            let header = match head.await {
                Ok(Ok(header)) => header,
                Ok(Err(e)) => return tracing::debug!(%from, "a stream without a head: {e}"),
                Err(_) => return tracing::debug!(%from, "a stream without a head"),
            };
            let token = streams.next_token();
            streams.put_back(token, stream);
            let input = Input::Peer(PeerInput::Bulk {
                from,
                token,
                header,
            });
            if streams.driver.input(input).await.is_err() {
                streams.take(token);
            }
        });
    }

    /// Does what the engine says.
    pub fn act(&self, effect: BulkEffect) {
        match effect {
            BulkEffect::Reply { token, reply } => self.reply(token, reply),
            BulkEffect::Receive {
                token,
                root,
                chunks,
            } => self.receive(token, root, chunks),
            BulkEffect::Serve { token, root } => self.serve(token, root),
            BulkEffect::Drop { root } => {
                if let Some(doomed) = &self.doomed {
                    doomed.add(root);
                }
            }
        }
    }

    fn put_back(&self, token: Token, stream: BulkStream) {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(token, stream);
    }

    fn take(&self, token: Token) -> Option<BulkStream> {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&token)
    }

    fn reply(&self, token: Token, reply: BulkReply) {
        let Some(mut stream) = self.take(token) else {
            return;
        };
        tokio::spawn(async move {
            if let Err(e) = write_header(&mut stream, &reply).await {
                tracing::debug!("a reply was not sent: {e}");
            }
            close(stream).await;
        });
    }

    fn receive(&self, token: Token, root: ShardRoot, chunks: u64) {
        let streams = self.clone();
        tokio::spawn(async move {
            let stored = match streams.take(token) {
                Some(mut stream) => {
                    let storing = streams.store(root, chunks * CHUNK, &mut stream);
                    let stored = AssertUnwindSafe(storing).catch_unwind().await;
                    let stored = stored.unwrap_or(Err(Deny::Disk));
                    streams.put_back(token, stream);
                    stored
                }
                None => Err(Deny::WrongBytes),
            };
            let received = Input::Peer(PeerInput::Received { token, stored });
            if streams.driver.input(received).await.is_err() {
                streams.take(token);
            }
        });
    }

    async fn store(
        &self,
        root: ShardRoot,
        len: u64,
        stream: &mut BulkStream,
    ) -> Result<VolumeId, Deny> {
        let (store, doomed) = self
            .shards
            .as_ref()
            .zip(self.doomed.as_ref())
            .ok_or(Deny::NotProviding)?;
        doomed.settle(root).await;
        write_header(stream, &BulkReply::Go)
            .await
            .map_err(|_| Deny::WrongBytes)?;
        shards::receive(store, root, len, stream)
            .await
            .map_err(|e| {
                tracing::warn!(%root, "a shard was not stored: {e}");
                match e {
                    TransferError::Store(
                        StoreError::WrongRoot { .. } | StoreError::WrongLength { .. },
                    )
                    | TransferError::Stream(_) => Deny::WrongBytes,
                    TransferError::Store(StoreError::Full { .. }) => Deny::Disk,
                    TransferError::Store(_) => Deny::Disk,
                    TransferError::Stopped => Deny::Busy,
                }
            })
    }

    fn serve(&self, token: Token, root: ShardRoot) {
        let (Some(mut stream), Some(store)) = (self.take(token), self.shards.clone()) else {
            return;
        };
        let suspects = self.suspects.clone();
        tokio::spawn(async move {
            if let Err(e) = give(&store, root, &mut stream).await {
                tracing::debug!(%root, "a shard was not served: {e}");
                if is_ours(&e) {
                    suspects.add(root);
                }
            }
            close(stream).await;
        });
    }
}

/// Serves a shard. One that turns out damaged on the way lacks its end: the reader sees the stream
/// break off.
async fn give(
    store: &Volumes,
    root: ShardRoot,
    stream: &mut BulkStream,
) -> Result<(), TransferError> {
    let there = store.clone();
    let there = tokio::task::spawn_blocking(move || there.open_shard(&root).map(drop))
        .await
        .expect("the store does not panic");
    match there {
        Ok(()) => {
            write_header(stream, &BulkReply::Go).await?;
            shards::send(store, root, stream).await
        }
        Err(e) => {
            // Who hears that there is no such shard rebuilds it.
            let deny = if matches!(e, StoreError::Absent { .. }) {
                Deny::UnknownShard
            } else {
                Deny::Disk
            };
            write_header(stream, &BulkReply::Denied(deny)).await?;
            Err(e.into())
        }
    }
}

/// Whether a transfer failed for the shard's sake, and not the stream's.
fn is_ours(error: &TransferError) -> bool {
    match error {
        TransferError::Store(_) | TransferError::Stream(FrameError::Source(_)) => true,
        TransferError::Stream(_) | TransferError::Stopped => false,
    }
}

async fn close(mut stream: BulkStream) {
    // The peer may have gone first.
    if let Err(e) = tokio::io::AsyncWriteExt::shutdown(&mut stream).await {
        tracing::trace!("a stream ended early: {e}");
    }
}
