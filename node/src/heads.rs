//! The shell's part in heads, the small records from which a lost keeper comes back: announcing the
//! keys of those that this node keeps for others, asking peers for ours, waiting until ours are kept.
//! What a head says and who is believed, the engine decides. `docs/protocol.md` §3.9.

use crate::call::{Answer, Call};
use crate::driver::{DriverHandle, Stopping};
use crate::net::NetHandle;
use larder_engine::Engine;
use larder_engine::head::SignedHead;
use larder_engine::standing::HeadState;
use larder_engine::wire::{Request, Response};
use larder_types::{Hash, NodeId, SegmentId, codec};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How often the kept heads are looked through without a word: contracts end, and heads with them.
const LOOK_THROUGH: Duration = Duration::from_secs(600);
/// How often it is looked whether our head is kept.
const LOOK: Duration = Duration::from_millis(250);
/// How long a peer may take to show the heads that it keeps.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// Announces the keys of kept heads, from when they are kept until they are not, for as long as the
/// node runs. `kept` is told whenever a head was taken in.
pub async fn announce(driver: DriverHandle, net: NetHandle, kept: Arc<Notify>) {
    let mut announced = BTreeSet::new();
    loop {
        let Ok(keys) = driver.query(Engine::head_keys).await else {
            return;
        };
        let keys: BTreeSet<Hash> = keys.into_iter().collect();
        for key in keys.difference(&announced) {
            if let Err(e) = net.provide(*key).await {
                tracing::warn!("a head's key is not announced: {e}");
            }
        }
        for key in announced.difference(&keys) {
            if let Err(e) = net.stop_providing(*key).await {
                tracing::debug!("the network has stopped: {e}");
            }
        }
        announced = keys;
        // A word or the time: either way everything is looked through.
        let _word = tokio::time::timeout(LOOK_THROUGH, kept.notified()).await;
    }
}

/// The heads that `peer` keeps under `key`; `None` if it does not answer.
pub async fn ask(net: &NetHandle, peer: NodeId, key: Hash) -> Option<Vec<SignedHead>> {
    let have = Vec::new();
    let call = codec::encode(&Call::Engine(Request::GetHeads { key, have }));
    let answer = match net.request(peer, call, ANSWER_WAIT).await {
        Ok(bytes) => codec::decode::<Answer>(&bytes),
        Err(e) => {
            tracing::debug!(%peer, "no heads: {e}");
            return None;
        }
    };
    match answer {
        Ok(Answer::Engine(Response::Heads(heads))) => Some(heads),
        Ok(Answer::Engine(Response::Denied(why))) => {
            tracing::debug!(%peer, "no heads: {why}");
            Some(Vec::new())
        }
        Ok(_) | Err(_) => None,
    }
}

/// How our head stands, and whether it covers all that is stored.
fn head_now(engine: &Engine) -> (Option<HeadState>, bool) {
    let known = engine.known_segments();
    let ids: Vec<SegmentId> = known.iter().map(|s| s.segment).collect();
    (engine.head_state(), engine.covered(&ids))
}

/// Waits, at most for `wait`, until enough providers hold a head from which all that is stored now
/// would come back. Gives how it stands then; `None` if this node publishes none.
///
/// # Errors
/// [`Stopping`].
pub async fn kept(driver: &DriverHandle, wait: Duration) -> Result<Option<HeadState>, Stopping> {
    let began = Instant::now();
    loop {
        let (state, covered) = driver.query(head_now).await?;
        if state.is_none() || covered || began.elapsed() >= wait {
            return Ok(state);
        }
        tokio::time::sleep(LOOK).await;
    }
}
