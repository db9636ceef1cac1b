//! `node_*`: this node: what it is, whom it knows, how it is.

use super::NodeApi;
use crate::home::now;
use crate::invite::Invite as InviteString;
use crate::shown::{count, internal};
use larder_engine::Engine;
use larder_ledger::State;
use larder_proofs::Checkpoint;
use larder_rpc::{
    Alert, Code, Done, Empty, Invite, KeeperStatus, Moment, Nano, NodeInfo, NodeMethods, NodeStatus,
    Page, PageParams, Peer, Role, RpcError, Text,
};

impl NodeMethods for NodeApi {
    async fn node_info(&self, _: Empty) -> Result<NodeInfo, RpcError> {
        let roles = [
            (true, Role::Keeper),
            (self.provides, Role::Provider),
            (self.validates, Role::Validator),
        ];
        Ok(NodeInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            network: self.genesis.network.clone(),
            genesis: Text(self.genesis.hash()),
            profile: self.genesis.params.profile.to_string(),
            node: Text(self.node),
            peer_id: crate::net::peer_id(&self.node)
                .map(|p| p.to_string())
                .unwrap_or_default(),
            account: Text(self.account),
            roles: roles
                .into_iter()
                .filter(|(on, _)| *on)
                .map(|(_, role)| role)
                .collect(),
            listen: self.peer_addresses().await,
            started: Moment(self.started),
        })
    }

    async fn node_status(&self, _: Empty) -> Result<NodeStatus, RpcError> {
        let offers = self.engine(|e| e.offers(now()).len()).await?;
        let peers = self.net.peers().await.map_or(0, |p| p.len());
        let (head, epoch) = self.state(|s| (s.head(), s.epoch()));
        Ok(NodeStatus {
            ready: head.height > 0,
            height: head.height,
            block_hash: Text(head.hash),
            epoch,
            peers: count(peers as u64),
            offers: count(offers as u64),
            balance: self.state(|state| Nano(state.balance(&self.account))),
            jobs: count(self.jobs.open() as u64),
            consensus: self.consensus_now().await,
            keeper: self.keeper_now().await?,
            provider: self.provider_now().await?,
        })
    }

    async fn node_peers(&self, params: PageParams) -> Result<Page<Peer>, RpcError> {
        let peers = self.net.peers().await.map_err(internal)?;
        let mut shown: Vec<Peer> = peers
            .iter()
            .map(|p| Peer {
                peer_id: crate::net::peer_id(&p.node)
                    .map(|p| p.to_string())
                    .unwrap_or_default(),
                address: p.addrs.first().map(ToString::to_string).unwrap_or_default(),
                agent: p.agent.clone(),
                rtt_micros: None,
            })
            .collect();
        shown.sort_by(|a, b| a.peer_id.cmp(&b.peer_id));
        Ok(Page::cut(shown, &params)?)
    }

    async fn node_alerts(&self, params: PageParams) -> Result<Page<Alert>, RpcError> {
        let all = self.board.all();
        Ok(Page::cut(
            all.into_iter().map(crate::alerts::hooks::shown),
            &params,
        )?)
    }

    async fn node_invite(&self, _: Empty) -> Result<Invite, RpcError> {
        let addrs = self.peer_addresses().await;
        if addrs.is_empty() {
            let why = "this node listens nowhere; start it with `larder up --listen MULTIADDR`";
            return Err(RpcError::new(Code::NotReady, why));
        }
        let head = self.state(State::head);
        let invite = InviteString {
            genesis: self.genesis.hash(),
            addrs,
            checkpoint: (head.height > 0).then_some(Checkpoint {
                height: head.height,
                block: head.hash,
            }),
        };
        Ok(Invite {
            invite: invite.to_string(),
        })
    }

    async fn node_shutdown(&self, _: Empty) -> Result<Done, RpcError> {
        self.stop.cancel();
        Ok(Done {})
    }
}

impl NodeApi {
    async fn keeper_now(&self) -> Result<KeeperStatus, RpcError> {
        let segments = self.engine(Engine::segments).await?;
        let contracts = self.engine(Engine::contracts).await?;
        let head = self.engine(Engine::head_state).await?;
        let snapshots = self.jobs.vault.snapshots().await.map_err(internal)?;
        Ok(KeeperStatus {
            snapshots: snapshots.len() as u64,
            segments: segments.segments,
            bytes_stored: segments.bytes_stored,
            contracts: count(contracts.iter().filter(|c| c.rented).count() as u64),
            segments_below_full: segments.below_full,
            repairing: segments.repairing,
            head_holders: head.map_or(0, |h| h.holders),
            head_wanted: head.map_or(0, |h| h.wanted),
        })
    }

    async fn peer_addresses(&self) -> Vec<String> {
        let peer = crate::net::peer_id(&self.node)
            .map(|p| p.to_string())
            .unwrap_or_default();
        let addrs = self.net.listen_addrs().await.unwrap_or_default();
        addrs.iter().map(|a| format!("{a}/p2p/{peer}")).collect()
    }
}
