//! The node behind the RPC: each method gathers what the engine, the ledger, the vault or the
//! transport knows, and shows it in the surface's form.

use crate::chain::Ledger;
use crate::driver::{DriverHandle, Msg, Payment, Stopping};
use crate::home::now;
use crate::invite::Invite as InviteString;
use crate::jobs::{Jobs, browse_error, paths, resolve_error};
use crate::net::NetHandle;
use crate::recovery::Recovery;
use crate::shown::{
    as_of, count, entry, from_hex, hex, internal, not_on_ledger, send_error, stopping, transaction,
};
use crate::store::Store;
use larder_backup::{BackupOptions, Depth};
use larder_contracts::same_money;
use larder_engine::report::ContractReport;
use larder_engine::{Engine, Provide, TxEnd};
use larder_ledger::check::Place;
use larder_ledger::{Genesis, May, State, Transfer, Tx, verify};
use larder_rpc::server::Probes;
use larder_rpc::{
    Account, AccountParams, Api, BackupParams, Balance, BrowseParams, Code, ContractParams, Done,
    Empty, Entry, Estimate, EstimateParams, Head, Invite, Job, JobParams, JobStarted, KeeperStatus,
    LedgerContract, LedgerParams, LedgerProvider, Limit, Moment, Nano, NodeInfo, NodeStatus, Offer,
    Page, PageParams, Peer, ProviderParams, ProviderStatus, RenterContract, Repairs, RestoreParams,
    Role, RpcError, SendParams, Sent, Snapshot, SubmitParams, Text, Transaction, TxStatus,
    Unsigned,
};
use larder_types::params::CHUNK;
use larder_types::{AccountId, Amount, NodeId, SubKeyId, Time, codec};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How long a payment may take to stand in a block before the answer says it waits.
const SEND_WAIT: Duration = Duration::from_secs(20);
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
    /// What it offers, if it does.
    pub provide: Option<Provide>,
    /// Whether it makes blocks.
    pub validates: bool,
    /// When it started.
    pub started: Time,
    /// Stops the node.
    pub stop: CancellationToken,
}

impl NodeApi {
    async fn engine<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T, RpcError> {
        self.driver.query(ask).await.map_err(stopping)
    }

    fn state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.ledger.read().0)
    }

    async fn provider_now(&self) -> Result<Option<ProviderStatus>, RpcError> {
        let Some(report) = self.engine(Engine::provided).await? else {
            return Ok(None);
        };
        let tally = self
            .ledger
            .read()
            .1
            .get(&self.node)
            .copied()
            .unwrap_or_default();
        let provide = self.provide.clone();
        Ok(Some(ProviderStatus {
            quota: report.quota,
            contracted: report.sold,
            used: report.used,
            shards: report.shards,
            contracts: count(report.contracts),
            price: Nano(provide.as_ref().map_or(Amount::ZERO, |p| p.price)),
            region: provide
                .as_ref()
                .map_or_else(String::new, |p| p.region.clone()),
            operator: provide.map_or_else(String::new, |p| p.operator),
            passed: tally.passed,
            missed: tally.missed,
            earned: Nano(tally.earned),
            damaged: report.damaged,
            declared: report.declared,
            faulted: report.faulted,
        }))
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

impl Probes for NodeApi {
    async fn ready(&self) -> bool {
        self.state(|s| s.head().height > 0)
    }

    async fn metrics(&self) -> String {
        let peers = self.net.peers().await.map_or(0, |p| p.len());
        let (height, epoch) = self.state(|s| (s.head().height, s.epoch()));
        let tally = self
            .ledger
            .read()
            .1
            .get(&self.node)
            .copied()
            .unwrap_or_default();
        let segments = self.engine(Engine::segments).await.unwrap_or_default();
        let provided = self
            .engine(Engine::provided)
            .await
            .ok()
            .flatten()
            .unwrap_or_default();
        let rows = [
            (
                "chain_height_blocks",
                "gauge",
                "Newest block applied.",
                height,
            ),
            (
                "chain_epoch_number",
                "gauge",
                "Current epoch.",
                u64::from(epoch),
            ),
            (
                "node_peers_connected",
                "gauge",
                "Connected peers.",
                peers as u64,
            ),
            (
                "keeper_segments_stored",
                "gauge",
                "Segments with providers.",
                segments.segments,
            ),
            (
                "keeper_shards_bytes",
                "gauge",
                "Bytes with providers.",
                segments.bytes_stored,
            ),
            (
                "keeper_segments_below_full",
                "gauge",
                "Segments with fewer shards than when whole.",
                segments.below_full,
            ),
            (
                "keeper_shards_repaired_total",
                "counter",
                "Shards that repair has placed anew.",
                segments.shards_repaired,
            ),
            (
                "provider_shards_bytes",
                "gauge",
                "Bytes stored for others.",
                provided.used,
            ),
            (
                "provider_proofs_passed_total",
                "counter",
                "Epochs proven.",
                tally.passed,
            ),
            (
                "provider_proofs_missed_total",
                "counter",
                "Epochs not proven.",
                tally.missed,
            ),
        ];
        rows.iter()
            .map(|(name, kind, help, value)| {
                format!("# HELP larder_{name} {help}\n# TYPE larder_{name} {kind}\nlarder_{name} {value}\n")
            })
            .collect()
    }
}

impl Api for NodeApi {
    async fn node_info(&self, _: Empty) -> Result<NodeInfo, RpcError> {
        let roles = [
            (true, Role::Keeper),
            (self.provide.is_some(), Role::Provider),
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
        let invite = InviteString {
            genesis: self.genesis.hash(),
            addrs,
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

    async fn ledger_get_balance(&self, params: AccountParams) -> Result<Balance, RpcError> {
        Ok(self.balance(params.account.0))
    }

    async fn ledger_get_account(&self, params: AccountParams) -> Result<Account, RpcError> {
        let id = params.account.0;
        self.state(|state| {
            let account = state
                .account(&id)
                .ok_or_else(|| not_on_ledger("account", id))?;
            let z = state.epoch();
            let escrowed = state
                .contracts_of(&id)
                .map(|(_, _, leaf)| {
                    let left = u64::from(leaf.end_epoch.saturating_sub(z.max(leaf.start_epoch)));
                    leaf.rate.checked_mul(left).unwrap_or(Amount::ZERO)
                })
                .sum();
            let vesting = state
                .providers()
                .filter(|p| p.payout == id)
                .flat_map(|p| p.vest.iter().copied())
                .sum();
            Ok(Account {
                account: Text(id),
                available: Nano(account.balance),
                escrowed: Nano(escrowed),
                vesting: Nano(vesting),
                next_nonce: Text(account.nonces.free(0).unwrap_or(u64::MAX)),
                as_of: as_of(state),
            })
        })
    }

    async fn ledger_get_provider(
        &self,
        params: ProviderParams,
    ) -> Result<LedgerProvider, RpcError> {
        let id = params.provider.0;
        let guard = self.ledger.read();
        let (state, tallies) = &*guard;
        let record = state
            .provider(&id)
            .ok_or_else(|| not_on_ledger("provider", id))?;
        let tally = tallies.get(&id).copied().unwrap_or_default();
        let chunks: u64 = record.active.iter().map(|(_, leaf)| leaf.used_chunks).sum();
        Ok(LedgerProvider {
            provider: Text(id),
            account: Text(record.payout),
            collateral_free: Nano(record.free),
            collateral_locked: Nano(record.locked),
            active_bytes: chunks * CHUNK,
            passed: tally.passed,
            missed: tally.missed,
            misses_in_a_row: record.consecutive_misses(),
            faulted_since_epoch: record.faulted,
            last_passed_epoch: tally.last_passed,
            earned: Nano(tally.earned),
            as_of: as_of(state),
        })
    }

    async fn ledger_get_contract(
        &self,
        params: ContractParams,
    ) -> Result<LedgerContract, RpcError> {
        let id = params.contract.0;
        self.state(|state| {
            let (_, provider, leaf) = state
                .contract(&id)
                .ok_or_else(|| not_on_ledger("contract", id))?;
            Ok(LedgerContract {
                contract: Text(id),
                provider: Text(provider),
                renter: Text(leaf.renter),
                revision: leaf.revision,
                start_epoch: leaf.start_epoch,
                end_epoch: leaf.end_epoch,
                capacity: leaf.capacity_chunks * CHUNK,
                used: leaf.used_chunks * CHUNK,
                rate: Nano(leaf.rate),
                collateral: Nano(leaf.collateral),
                as_of: as_of(state),
            })
        })
    }

    async fn ledger_params(&self, _: Empty) -> Result<LedgerParams, RpcError> {
        let params = &self.genesis.params;
        Ok(LedgerParams {
            network: self.genesis.network.clone(),
            genesis: Text(self.genesis.hash()),
            start: Moment(self.genesis.start),
            supply: Nano(self.genesis.supply.total().unwrap_or_default()),
            profile: params.profile.to_string(),
            epoch_ms: params.epoch.0,
            slots: params.slots,
            window_ms: params.window.0,
            challenges: params.challenges,
            fee_ppm: params.fee_ppm,
            burn_ppm: params.burn_ppm,
            vesting_epochs: params.vesting,
            min_term: params.min_term,
            max_term: params.max_term,
            capacity_step: params.capacity_step.0,
            faucet: params.faucet.map(Nano),
        })
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
        let (account, subkey) = (self.account, self.subkey);
        Ok(self.state(|state| {
            let key = state.sub_keys().get(&account, &subkey);
            Limit {
                account: Text(account),
                subkey: Text(subkey),
                authorised: key.is_some_and(|key| now() < key.until),
                may: key.map_or_else(Vec::new, |key| verbs(key.may)),
                cap: key
                    .and_then(|key| key.cap)
                    .filter(|c| *c < NO_CAP)
                    .map(Nano),
                spent: Nano(key.map_or(Amount::ZERO, |key| key.spent_in(state.epoch()))),
                until: key.map(|key| Moment(key.until)),
                as_of: as_of(state),
            }
        }))
    }

    async fn tx_build(&self, params: SendParams) -> Result<Unsigned, RpcError> {
        let (from, to, amount) = (self.account, params.to.0, params.amount.0);
        let auth = self.engine(Engine::spare_auth).await?.ok_or_else(|| {
            let why = "the ledger does not know the account yet; wait for a block";
            RpcError::new(Code::NotReady, why)
        })?;
        let genesis = self.genesis.hash();
        let payload = Transfer::payload(from, to, amount, auth, &genesis);
        Ok(Unsigned {
            genesis: Text(genesis),
            from: Text(from),
            to: Text(to),
            amount: Nano(amount),
            nonce: Text(auth.nonce),
            expiry: auth.expiry,
            signing_payload: hex(&payload),
        })
    }

    async fn tx_submit(&self, params: SubmitParams) -> Result<Sent, RpcError> {
        let bad = |why: &dyn std::fmt::Display| RpcError::new(Code::BadValue, why);
        let bytes = from_hex(&params.tx).ok_or_else(|| bad(&"tx is `0x` and hex"))?;
        let tx = codec::decode::<Tx>(&bytes).map_err(|e| bad(&e))?;
        let tx = verify::tx(&self.genesis.hash(), tx).map_err(|e| bad(&e))?;
        let refused = self.state(|state| state.check(tx.get(), Place::next(state, now())).err());
        if let Some(why) = refused {
            return Err(RpcError::new(Code::TransactionRefused, why));
        }
        self.sent(Payment::Signed(Box::new(tx.into_inner()))).await
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

/// A cap that no credit reaches: none.
const NO_CAP: Amount = Amount(u64::MAX);

/// The verbs of a sub-key in words.
fn verbs(may: May) -> Vec<String> {
    [
        (May::OPEN, "open"),
        (May::ADD, "add"),
        (May::RENEW, "renew"),
        (May::TRANSFER, "transfer"),
    ]
    .into_iter()
    .filter(|(verb, _)| may.allows(*verb))
    .map(|(_, word)| word.to_owned())
    .collect()
}

impl NodeApi {
    /// Has something sent, and waits a while for the block that holds it.
    async fn sent(&self, what: Payment) -> Result<Sent, RpcError> {
        let (done, queued) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        self.driver
            .send(Msg::Send { what, done, ended })
            .await
            .map_err(stopping)?;
        let tx = queued
            .await
            .map_err(|_| stopping(Stopping))?
            .map_err(|e| send_error(&e))?;
        let waiting = Sent {
            tx: Text(tx),
            status: TxStatus::Submitted,
            height: None,
        };
        match tokio::time::timeout(SEND_WAIT, end).await {
            Ok(Ok(TxEnd::Included(height))) => Ok(Sent {
                status: TxStatus::Included,
                height: Some(height),
                ..waiting
            }),
            Ok(Ok(TxEnd::Refused(why))) => Err(RpcError::new(Code::TransactionRefused, why)),
            Ok(Ok(TxEnd::Expired)) => Err(RpcError::new(
                Code::Expired,
                "no block took it in time; send it again",
            )),
            Ok(Err(_)) => Err(stopping(Stopping)),
            Err(_) => Ok(waiting),
        }
    }

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
