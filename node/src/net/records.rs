//! The task's dealings in provider records: announcing our keys, judging what peers announce, looking
//! up who keeps something under a key.

use larder_types::{Hash, NodeId};
use libp2p::kad::store::RecordStore as _;
use libp2p::kad::{self, GetProvidersOk, ProviderRecord, QueryId, RecordKey};
use std::collections::BTreeSet;
use std::time::Instant;
use tokio::sync::oneshot;

use super::NetError;
use super::identity::node_id;
use super::limits;
use super::reach::answer;
use super::task::Task;

/// A look-up of those who keep something under a key.
#[derive(Debug)]
pub(super) struct LookUp {
    found: BTreeSet<NodeId>,
    until: tokio::time::Instant,
    reply: oneshot::Sender<Result<Vec<NodeId>, NetError>>,
}

impl Task {
    pub(super) fn provide(&mut self, key: Hash) -> Result<(), NetError> {
        if self.providing.provide(key) {
            self.announce(key);
            return Ok(());
        }
        let limit = limits::MAX_PROVIDED;
        Err(NetError::TooMany { limit })
    }

    pub(super) fn stop_providing(&mut self, key: &Hash) {
        self.providing.stop(key);
        let kad = &mut self.swarm.behaviour_mut().kad;
        kad.stop_providing(&RecordKey::new(&key.0));
    }

    fn announce(&mut self, key: Hash) {
        let kad = &mut self.swarm.behaviour_mut().kad;
        if let Err(error) = kad.start_providing(RecordKey::new(&key.0)) {
            tracing::warn!(%error, "a key cannot be announced");
        }
    }

    pub(super) fn look_after_records(&mut self, now: Instant) {
        for (peer, key) in self.providing.expire(now) {
            let store = self.swarm.behaviour_mut().kad.store_mut();
            store.remove_provider(&RecordKey::new(&key.0), &peer);
        }
        for key in self.providing.due(now) {
            self.announce(key);
        }
    }

    /// A peer that says it keeps something under a key; Kademlia has checked that it speaks of itself.
    /// It gave no address: without one, those who ask would not be told of it.
    pub(super) fn on_record(&mut self, mut record: ProviderRecord) {
        let peer = record.provider;
        let Ok(key) = <[u8; 32]>::try_from(record.key.as_ref()) else {
            return tracing::debug!(%peer, "a record under a key of another length");
        };
        if !self.providing.accept(peer, Hash(key), Instant::now()) {
            return tracing::debug!(%peer, "no room for its record");
        }
        let known = self.book.get(&peer);
        record.addresses = known.tcp.into_iter().chain(known.other).collect();
        if let Err(error) = self
            .swarm
            .behaviour_mut()
            .kad
            .store_mut()
            .add_provider(record)
        {
            tracing::debug!(%peer, %error, "no room for its record");
        }
    }

    pub(super) fn find_providers(
        &mut self,
        key: Hash,
        until: tokio::time::Instant,
        reply: oneshot::Sender<Result<Vec<NodeId>, NetError>>,
    ) {
        if self.lookups.len() >= limits::MAX_LOOKUPS {
            let limit = limits::MAX_LOOKUPS;
            return answer(Some(reply), Err(NetError::TooMany { limit }));
        }
        let kad = &mut self.swarm.behaviour_mut().kad;
        let query = kad.get_providers(RecordKey::new(&key.0));
        let lookup = LookUp {
            found: BTreeSet::new(),
            until,
            reply,
        };
        self.lookups.insert(query, lookup);
    }

    pub(super) fn providers_found(
        &mut self,
        query: QueryId,
        found: kad::GetProvidersResult,
        last: bool,
    ) {
        let own = *self.swarm.local_peer_id();
        if let (Some(lookup), Ok(GetProvidersOk::FoundProviders { providers, .. })) =
            (self.lookups.get_mut(&query), found)
        {
            let others = providers.iter().filter(|peer| **peer != own);
            lookup.found.extend(others.filter_map(node_id));
        }
        if last {
            self.end_lookup(query);
        }
    }

    fn end_lookup(&mut self, query: QueryId) {
        if let Some(lookup) = self.lookups.remove(&query) {
            let found = lookup.found.into_iter().collect();
            answer(Some(lookup.reply), Ok(found));
        }
    }

    /// Answers those who wait no longer with what was found so far.
    pub(super) fn end_lookups(&mut self) {
        let now = tokio::time::Instant::now();
        let over = |l: &LookUp| l.until <= now || l.reply.is_closed();
        let over: Vec<QueryId> = self
            .lookups
            .iter()
            .filter(|(_, lookup)| over(lookup))
            .map(|(query, _)| *query)
            .collect();
        for query in over {
            if let Some(mut running) = self.swarm.behaviour_mut().kad.query_mut(&query) {
                running.finish();
            }
            self.end_lookup(query);
        }
    }
}
