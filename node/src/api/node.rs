//! `node_*`: this node: what it is, whom it knows, how it is.

use super::NodeApi;
use crate::alerts::rules;
use crate::configuring::{self, KEYS, Key};
use crate::doctor;
use crate::home::now;
use crate::home::{Config, HomeError};
use crate::invite::Invite as InviteString;
use crate::shown::{count, internal, stopping};
use larder_engine::{Command, Engine, Input};
use larder_ledger::State;
use larder_proofs::Checkpoint;
use larder_rpc::{
    Alert, Applies, Bootstrap, Code, ConfigChanged, Connectivity, Doctor, Done, Empty, Invite,
    KeeperStatus, Moment, Nano, NodeConfig, NodeInfo, NodeMethods, NodeStatus, Page, PageParams,
    Peer, Role, RpcError, SetConfigParams, Text,
};
use libp2p::multiaddr::Protocol;

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

    async fn node_connectivity(&self, _: Empty) -> Result<Connectivity, RpcError> {
        let listen = self.net.listen_addrs().await.map_err(internal)?;
        let peers = self.net.peers().await.map_err(internal)?;
        let over = |protocol: fn(&Protocol<'_>) -> bool| {
            let reached = peers.iter().filter(|p| {
                let first = p.addrs.first();
                first.is_some_and(|addr| addr.iter().any(|part| protocol(&part)))
            });
            count(reached.count() as u64)
        };
        let consensus = self.consensus_now().await;
        let connected: Vec<String> = peers
            .iter()
            .filter_map(|p| Some(crate::net::peer_id(&p.node).ok()?.to_string()))
            .collect();
        let config = self
            .config
            .read()
            .map_err(|e| RpcError::new(Code::Internal, e))?;
        let bootstrap = config
            .network
            .bootstrap
            .into_iter()
            .map(|address| Bootstrap {
                connected: connected
                    .iter()
                    .any(|peer| address.ends_with(peer.as_str())),
                address,
            });
        Ok(Connectivity {
            loopback_only: listen.iter().all(crate::app::is_loopback),
            listen: listen.iter().map(ToString::to_string).collect(),
            peers: count(peers.len() as u64),
            tcp: over(|part| matches!(part, Protocol::Tcp(_))),
            quic: over(|part| matches!(part, Protocol::QuicV1)),
            validators: consensus.validators,
            validators_reached: consensus.validators_reached,
            bootstrap: bootstrap.collect(),
        })
    }

    async fn node_doctor(&self, _: Empty) -> Result<Doctor, RpcError> {
        let status = self.node_status(Empty {}).await?;
        let repairs = self.engine(crate::repairs::shown).await?;
        let contracts = self.engine(Engine::contracts).await?;
        let open = self.board.open().into_iter();
        let alerts: Vec<Alert> = open.map(crate::alerts::hooks::shown).collect();
        let home = self.config.home().to_owned();
        let of_home = tokio::task::spawn_blocking(move || doctor::of_home(&home)).await;
        let failed = |e: &dyn std::fmt::Display| RpcError::new(Code::Internal, e);
        let mut checks = of_home.map_err(|e| failed(&e))?.map_err(|e| failed(&e))?;
        checks.extend(doctor::of_node(&doctor::Known {
            status: &status,
            repairs: &repairs,
            refusing: contracts.iter().filter(|c| c.rented && c.refuses).count(),
            alerts: &alerts,
        }));
        let problems = checks.iter().filter(|check| check.wrong.is_some()).count();
        Ok(Doctor {
            problems: count(problems as u64),
            checks,
        })
    }

    async fn node_config(&self, _: Empty) -> Result<NodeConfig, RpcError> {
        let config = self.config_value()?;
        Ok(NodeConfig {
            path: self.config.path().display().to_string(),
            entries: KEYS.iter().map(|key| key.entry(&config)).collect(),
            given: self.given.clone(),
        })
    }

    async fn node_set_config(&self, params: SetConfigParams) -> Result<ConfigChanged, RpcError> {
        let bad = |e: &dyn std::fmt::Display| RpcError::new(Code::BadValue, e);
        let key = Key::to_set(&params.key, self.provides).map_err(|e| bad(&e))?;
        self.configure(key, params.value.as_ref()).await
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
    /// Sets a key of the configuration, or takes it out; what can go by it at once does.
    pub(super) async fn configure(
        &self,
        key: Key,
        value: Option<&serde_json::Value>,
    ) -> Result<ConfigChanged, RpcError> {
        let bad = |e: &dyn std::fmt::Display| RpcError::new(Code::BadValue, e);
        let item = key.item(value).map_err(|e| bad(&e))?;
        let (file, epoch) = (self.config.clone(), self.genesis.params.epoch);
        let home = file.home().to_owned();
        let edited = tokio::task::spawn_blocking(move || {
            let check = |config: &Config| configuring::sound(config, &home, epoch);
            file.edit_checked(|document| key.put(document, item), check)
        });
        let edited = edited.await.map_err(|e| RpcError::new(Code::Internal, e))?;
        edited.map_err(|e| {
            if let HomeError::Damaged { why, .. } = &e {
                return bad(why);
            }
            RpcError::new(Code::Internal, e)
        })?;
        let config = self
            .config
            .read()
            .map_err(|e| RpcError::new(Code::Internal, e))?;
        let rules = rules::Settings::of(&config.alerts, epoch);
        self.rules.set(rules.map_err(|e| bad(&e))?);
        let allowance = config.renter.allowance().map_err(|e| bad(&e))?;
        let allow = Input::Command(Command::Allow(allowance));
        self.driver.input(allow).await.map_err(stopping)?;
        Ok(ConfigChanged {
            entry: key.entry(&self.config_value()?),
            restart: key.applies != Applies::Now,
        })
    }

    /// The configuration file's values.
    fn config_value(&self) -> Result<serde_json::Value, RpcError> {
        let failed = |e: &dyn std::fmt::Display| RpcError::new(Code::Internal, e);
        let config = self.config.read().map_err(|e| failed(&e))?;
        serde_json::to_value(config).map_err(|e| failed(&e))
    }

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

    pub(super) async fn peer_addresses(&self) -> Vec<String> {
        let peer = crate::net::peer_id(&self.node)
            .map(|p| p.to_string())
            .unwrap_or_default();
        let addrs = self.net.listen_addrs().await.unwrap_or_default();
        addrs.iter().map(|a| format!("{a}/p2p/{peer}")).collect()
    }
}
