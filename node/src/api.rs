//! The node behind the RPC: each method gathers what the engine, the ledger, the vault or the
//! transport knows, and shows it in the surface's form.

mod chain;
mod ledger;
mod metrics;
mod network;
mod wallet;

use crate::chain::Ledger;
use crate::driver::{DriverHandle, Payment};
use crate::home::now;
use crate::invite::Invite as InviteString;
use crate::jobs::{Jobs, browse_error, paths, resolve_error};
use crate::net::NetHandle;
use crate::recovery::Recovery;
use crate::seat::Seat;
use crate::settings::ConfigFile;
use crate::shown::{as_of, count, entry, internal, stopping, transaction};
use crate::store::Store;
use crate::volumes::Keeper;
use larder_backup::{BackupOptions, Depth};
use larder_contracts::same_money;
use larder_engine::Engine;
use larder_engine::report::ContractReport;
use larder_keys::Signer;
use larder_ledger::{Genesis, State};
use larder_proofs::Checkpoint;
use larder_rpc::{
    Absence, AbsenceParams, Account, AccountParams, Api, Approved, AtParams, Audit, BackupParams,
    Balance, Block, BlockCertificate, BlockHeader, BrowseParams, ChainValidators, ChangeParams,
    ChangesParams, Code, ContractParams, Done, Empty, Entry, Estimate, EstimateParams,
    GenesisDocument, Head, HeldContract, Invite, Job, JobParams, JobStarted, KeeperStatus,
    LedgerContract, LedgerParams, LedgerProvider, Limit, Moment, Nano, NodeInfo, NodeStatus, Offer,
    OfferChange, Page, PageParams, Peer, Proof, ProofParams, ProviderOffer, ProviderParams,
    ProviderStatus, RemoveVolumeParams, RenterContract, Repairs, RestoreParams, Role, RpcError,
    SendParams, Sent, Snapshot, SubmitParams, Taking, Text, Transaction, Unsigned, ValidatorChange,
    Validators, Volume, VolumeParams, VolumeRemoved, WithdrawParams, Withdrawn,
};
use larder_types::params::CHUNK;
use larder_types::{AccountId, Amount, NodeId, SubKeyId, Time};
use std::path::PathBuf;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Entries of a listing that wait for the answer.
const LISTING: usize = 256;

/// What the methods need.
#[derive(Debug)]
pub struct NodeApi {
    /// The engine.
    pub driver: DriverHandle,
    /// The ledger's state.
    pub ledger: Ledger,
    /// The database.
    pub store: Store,
    /// The transport.
    pub net: NetHandle,
    /// Backups, restores and recoveries.
    pub jobs: Jobs,
    /// What a recovery works with.
    pub recovery: Recovery,
    /// The network.
    pub genesis: Genesis,
    /// This node.
    pub node: NodeId,
    /// The home's account.
    pub account: AccountId,
    /// This device's sub-key.
    pub subkey: SubKeyId,
    /// Whether it offers anything.
    pub provides: bool,
    /// The provider's volumes, if it has any.
    pub volumes: Option<Keeper>,
    /// The home's configuration.
    pub config: ConfigFile,
    /// What of the offer a flag or the environment said.
    pub given: Vec<String>,
    /// Its key, which signs approvals.
    pub node_key: Signer,
    /// Our place among the validators.
    pub seat: Seat,
    /// Whether it makes blocks, or would.
    pub validates: bool,
    /// When it started.
    pub started: Time,
    /// Stops the node.
    pub stop: CancellationToken,
}

impl NodeApi {
    pub(crate) async fn engine<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T, RpcError> {
        self.driver.query(ask).await.map_err(stopping)
    }

    pub(crate) fn state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.ledger.read().0)
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

    fn balance(&self, account: AccountId) -> Balance {
        self.state(|state| Balance {
            account: Text(account),
            available: Nano(state.balance(&account)),
            as_of: as_of(state),
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

impl Api for NodeApi {
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
            balance: self.balance(self.account).available,
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

    async fn chain_head(&self, _: Empty) -> Result<Head, RpcError> {
        Ok(self.state(|state| {
            let head = state.head();
            Head {
                height: head.height,
                hash: Text(head.hash),
                time: Moment(head.time),
                epoch: state.epoch(),
                slot: state.schedule().slot_at(head.time),
            }
        }))
    }

    async fn chain_get_header(&self, at: AtParams) -> Result<BlockHeader, RpcError> {
        self.header_at(at).await
    }

    async fn chain_get_block(&self, at: AtParams) -> Result<Block, RpcError> {
        self.block_shown(at).await
    }

    async fn chain_get_certificate(&self, at: AtParams) -> Result<BlockCertificate, RpcError> {
        self.certificate_at(at).await
    }

    async fn chain_get_validators(&self, at: AtParams) -> Result<ChainValidators, RpcError> {
        self.validators_at(at).await
    }

    async fn chain_get_genesis(&self, _: Empty) -> Result<GenesisDocument, RpcError> {
        Ok(self.genesis_document())
    }

    async fn chain_get_validator_changes(
        &self,
        params: ChangesParams,
    ) -> Result<Page<ValidatorChange>, RpcError> {
        self.changes(params).await
    }

    async fn ledger_get_proof(&self, params: ProofParams) -> Result<Proof, RpcError> {
        self.proof(params).await
    }

    async fn ledger_get_balance(&self, params: AccountParams) -> Result<Balance, RpcError> {
        Ok(self.balance(params.account.0))
    }

    async fn ledger_get_account(&self, params: AccountParams) -> Result<Account, RpcError> {
        self.ledger_account(params.account.0)
    }

    async fn ledger_get_provider(
        &self,
        params: ProviderParams,
    ) -> Result<LedgerProvider, RpcError> {
        self.ledger_provider(params.provider.0)
    }

    async fn ledger_get_contract(
        &self,
        params: ContractParams,
    ) -> Result<LedgerContract, RpcError> {
        self.ledger_contract(params.contract.0)
    }

    async fn ledger_params(&self, _: Empty) -> Result<LedgerParams, RpcError> {
        self.parameters()
    }

    async fn network_validators(&self, _: Empty) -> Result<Validators, RpcError> {
        Ok(self.validators_now())
    }

    async fn network_approve(&self, params: ChangeParams) -> Result<Approved, RpcError> {
        self.approve(params).await
    }

    async fn wallet_get_balance(&self, _: Empty) -> Result<Balance, RpcError> {
        let available = self.engine(Engine::spendable).await?;
        Ok(Balance {
            available: Nano(available),
            ..self.balance(self.account)
        })
    }

    async fn wallet_list_transactions(
        &self,
        params: PageParams,
    ) -> Result<Page<Transaction>, RpcError> {
        let history = self.store.history().await.map_err(internal)?;
        Ok(Page::cut(history.iter().map(transaction), &params)?)
    }

    async fn wallet_send(&self, params: SendParams) -> Result<Sent, RpcError> {
        let (to, amount) = (params.to.0, params.amount.0);
        if amount == Amount::ZERO {
            return Err(RpcError::new(Code::BadValue, "send more than nothing"));
        }
        self.sent(Payment::Transfer { to, amount }).await
    }

    async fn wallet_get_limit(&self, _: Empty) -> Result<Limit, RpcError> {
        self.limit()
    }

    async fn tx_build(&self, params: SendParams) -> Result<Unsigned, RpcError> {
        self.unsigned(params).await
    }

    async fn tx_submit(&self, params: SubmitParams) -> Result<Sent, RpcError> {
        self.submitted(params).await
    }

    async fn market_list_offers(&self, params: PageParams) -> Result<Page<Offer>, RpcError> {
        let mut offers = self.engine(|e| e.offers(now())).await?;
        offers.sort_by_key(|o| o.offer.provider);
        let shown = offers.into_iter().map(|o| o.offer).map(|o| Offer {
            provider: Text(o.provider),
            account: Text(o.account),
            price: Nano(o.price),
            egress_price: Nano(o.egress_price),
            free: o.free.0,
            min_term: o.min_term,
            max_term: o.max_term,
            region: o.region,
            operator: o.operator,
            addresses: o.addrs,
            issued: Moment(o.issued),
            expires: Moment(o.valid_until),
        });
        Ok(Page::cut(shown, &params)?)
    }

    async fn provider_status(&self, _: Empty) -> Result<ProviderStatus, RpcError> {
        Ok(self.provider_now().await?.unwrap_or_default())
    }

    async fn provider_get_offer(&self, _: Empty) -> Result<ProviderOffer, RpcError> {
        self.offer_now().await
    }

    async fn provider_set_offer(&self, change: OfferChange) -> Result<ProviderOffer, RpcError> {
        self.change_offer(change).await
    }

    async fn provider_exit(&self, _: Empty) -> Result<ProviderOffer, RpcError> {
        let taking = Some(Taking::Leaving);
        self.change_offer(OfferChange {
            taking,
            ..OfferChange::default()
        })
        .await
    }

    async fn provider_withdraw(&self, params: WithdrawParams) -> Result<Withdrawn, RpcError> {
        self.withdraw(params).await
    }

    async fn provider_maintenance(&self, params: AbsenceParams) -> Result<Absence, RpcError> {
        self.announce(params).await
    }

    async fn provider_list_audits(&self, params: PageParams) -> Result<Page<Audit>, RpcError> {
        let audits = self.store.audits().await.map_err(internal)?;
        Ok(Page::cut(
            audits.into_iter().map(crate::own::shown),
            &params,
        )?)
    }

    async fn provider_list_contracts(
        &self,
        params: PageParams,
    ) -> Result<Page<HeldContract>, RpcError> {
        Ok(Page::cut(self.held().await?, &params)?)
    }

    async fn provider_list_volumes(&self, params: PageParams) -> Result<Page<Volume>, RpcError> {
        Ok(Page::cut(self.volumes_now().await?, &params)?)
    }

    async fn provider_add_volume(&self, params: VolumeParams) -> Result<Volume, RpcError> {
        self.add_volume(params).await
    }

    async fn provider_resize_volume(&self, params: VolumeParams) -> Result<Volume, RpcError> {
        self.resize_volume(params).await
    }

    async fn provider_remove_volume(
        &self,
        params: RemoveVolumeParams,
    ) -> Result<VolumeRemoved, RpcError> {
        self.remove_volume(params).await
    }

    async fn renter_list_contracts(
        &self,
        params: PageParams,
    ) -> Result<Page<RenterContract>, RpcError> {
        let (mut contracts, offers) = self.engine(|e| (e.contracts(), e.offers(now()))).await?;
        contracts.retain(|c| c.rented);
        contracts.sort_by_key(|c| (c.provider, c.contract));
        let shown = contracts.iter().map(|c| {
            let offer = offers
                .iter()
                .find(|o| o.offer.provider == c.provider)
                .map(|o| &o.offer);
            self.renter_contract(c, offer)
        });
        Ok(Page::cut(shown, &params)?)
    }

    async fn renter_repairs(&self, _: Empty) -> Result<Repairs, RpcError> {
        self.engine(crate::repairs::shown).await
    }

    async fn backup_start(&self, params: BackupParams) -> Result<JobStarted, RpcError> {
        Ok(JobStarted {
            job: self.jobs.backup(params)?,
        })
    }

    async fn backup_estimate(&self, params: EstimateParams) -> Result<Estimate, RpcError> {
        let mut options = BackupOptions::new(paths(&params.paths)?, String::new(), now());
        options.excludes = params.excludes;
        let (files, bytes) = self
            .jobs
            .vault
            .estimate(&options)
            .await
            .map_err(|e| RpcError::new(Code::Unreadable, e))?;
        Ok(Estimate {
            files,
            dirs: 0,
            bytes,
        })
    }

    async fn backup_list_snapshots(&self, params: PageParams) -> Result<Page<Snapshot>, RpcError> {
        let snapshots = self.jobs.vault.snapshots().await.map_err(internal)?;
        let shown = snapshots.into_iter().map(|(id, s)| Snapshot {
            snapshot: id.to_string(),
            time: Moment(s.time),
            paths: s
                .paths()
                .map(|p| p.to_string_lossy().into_owned())
                .collect(),
            host: s.host,
            tags: s.tags,
            class: Text(s.class),
            files: s.files,
            dirs: s.dirs,
            bytes: s.bytes,
        });
        Ok(Page::cut(shown, &params)?)
    }

    async fn backup_browse(&self, params: BrowseParams) -> Result<Page<Entry>, RpcError> {
        let vault = &self.jobs.vault;
        let (_, snapshot) = vault
            .resolve(&params.snapshot)
            .await
            .map_err(|e| resolve_error(&e))?;
        let page = PageParams {
            cursor: params.cursor,
            limit: params.limit,
        };
        let (limit, offset) = (page.limit(), page.offset()?);
        let path = PathBuf::from(params.path.unwrap_or_else(|| "/".to_owned()));
        let (out, mut listed) = mpsc::channel(LISTING);
        let segments = self.jobs.segments();
        let listing = vault.ls(snapshot, path, Depth::Folder, segments, out);
        let gather = async {
            let mut items = Vec::new();
            let mut more = false;
            let mut at = 0;
            while let Some(one) = listed.recv().await {
                if at >= offset + limit {
                    more = true;
                    break;
                }
                if at >= offset {
                    items.push(entry(&one));
                }
                at += 1;
            }
            drop(listed);
            (items, more)
        };
        let (ended, (items, more)) = tokio::join!(listing, gather);
        ended.map_err(|e| browse_error(&e))?;
        let next_cursor = more.then(|| (offset + limit).to_string());
        Ok(Page { items, next_cursor })
    }

    async fn backup_recover(&self, _: Empty) -> Result<JobStarted, RpcError> {
        Ok(JobStarted {
            job: self.jobs.recover(self.recovery.clone())?,
        })
    }

    async fn backup_restore(&self, params: RestoreParams) -> Result<JobStarted, RpcError> {
        paths(std::slice::from_ref(&params.target))?;
        Ok(JobStarted {
            job: self.jobs.restore(params)?,
        })
    }

    async fn job_list(&self, params: PageParams) -> Result<Page<Job>, RpcError> {
        Ok(Page::cut(self.jobs.list(), &params)?)
    }

    async fn job_get(&self, params: JobParams) -> Result<Job, RpcError> {
        self.jobs.get(&params.job)
    }

    async fn job_cancel(&self, params: JobParams) -> Result<Done, RpcError> {
        self.jobs.cancel(&params.job)?;
        Ok(Done {})
    }
}

impl NodeApi {
    fn renter_contract(
        &self,
        c: &ContractReport,
        offer: Option<&larder_contracts::Offer>,
    ) -> RenterContract {
        let settled = self.state(|state| {
            state.contract(&c.contract).is_some_and(|(_, _, active)| {
                active.revision == c.leaf.revision && same_money(active, &c.leaf)
            })
        });
        RenterContract {
            contract: Text(c.contract),
            provider: Text(c.provider),
            operator: offer.map_or_else(String::new, |o| o.operator.clone()),
            region: offer.map_or_else(String::new, |o| o.region.clone()),
            revision: c.leaf.revision,
            settled,
            start_epoch: c.leaf.start_epoch,
            end_epoch: c.leaf.end_epoch,
            capacity: c.leaf.capacity_chunks * CHUNK,
            used: c.leaf.used_chunks * CHUNK,
            rate: Nano(c.leaf.rate),
            audits_passed: c.audits.passed,
            audits_failed: c.audits.failed,
            audits_silent: c.audits.silent,
            refuses: c.refuses,
        }
    }
}
