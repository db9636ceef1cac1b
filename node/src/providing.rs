//! What the RPC tells of the provider's side and lets its operator do: the offer, the volumes, how
//! the ledger judges it.

use crate::api::NodeApi;
use crate::cli::options::LEAST_QUOTA;
use crate::driver::{Msg, Payment};
use crate::settings::set_up;
use crate::shown::{count, stopping};
use crate::volumes::{Removed, VolumeError};
use larder_contracts::Refusal;
use larder_contracts::offer::{MAX_OPERATOR, MAX_REGION};
use larder_engine::{Command, Engine, Input, Provide, ProviderCommand};
use larder_rpc::{
    Absence, AbsenceParams, Code, HeldContract, Moment, Nano, OfferChange, ProviderOffer,
    ProviderStatus, RemoveVolumeParams, RpcError, Taking, Text, TxStatus, Volume, VolumeParams,
    VolumeRemoved, WithdrawParams, Withdrawn,
};
use larder_types::params::CHUNK;
use larder_types::{Amount, Bytes, Epoch, Schedule};
use std::path::{Path, PathBuf};
use tokio::sync::oneshot;

/// Misses of the trailing 30 epochs that make a provider FAULTED. `docs/protocol.md` §3.6.
const MOST_STRIKES: u32 = 6;

impl NodeApi {
    pub(crate) async fn provider_now(&self) -> Result<Option<ProviderStatus>, RpcError> {
        let Some(report) = self.engine(Engine::provided).await? else {
            return Ok(None);
        };
        let provide = self.offering().await?;
        let (tally, record, slot) = {
            let guard = self.ledger.read();
            let (state, tallies) = &*guard;
            let record = state.provider(&self.node);
            let asked = record.is_some_and(|p| p.sum() > Amount::ZERO);
            (
                tallies.get(&self.node).copied().unwrap_or_default(),
                record.map(|p| (p.misses.count_ones(), p.consecutive_misses())),
                asked.then(|| state.slot_of(&self.node)),
            )
        };
        let (strikes, row) = record.unwrap_or_default();
        let params = &self.genesis.params;
        let schedule = self.schedule();
        Ok(Some(ProviderStatus {
            quota: report.quota,
            contracted: report.sold,
            used: report.used,
            shards: report.shards,
            contracts: count(report.contracts),
            price: Nano(provide.price),
            region: provide.region,
            operator: provide.operator,
            passed: tally.passed,
            missed: tally.missed,
            earned: Nano(tally.earned),
            damaged: report.damaged,
            declared: report.declared,
            taking: shown(provide.taking),
            refuses: report.refuses.as_ref().map(refuses),
            volume_trouble: self.trouble().await,
            proof_ms: report.proof_takes.map(|took| took.0),
            window_ms: params.window.0,
            slot_opens: slot.map(|slot| Moment(schedule.slot_start(slot))),
            slot_closes: slot.map(|slot| Moment(schedule.slot_close(slot))),
            strikes,
            misses_in_a_row: row,
            misses_left: misses_left(strikes, row, params.faulted_after),
            faulted: report.faulted,
        }))
    }

    pub(crate) async fn offer_now(&self) -> Result<ProviderOffer, RpcError> {
        let report = self.engine(Engine::provided).await?;
        let report = report.ok_or_else(not_providing)?;
        let provide = self.offering().await?;
        let held = self.held().await?;
        let last = held.iter().map(|c| c.end_epoch).max();
        let (free, locked, absence) = self.state(|state| {
            let record = state.provider(&self.node);
            record.map_or((Amount::ZERO, Amount::ZERO, None), |p| {
                (p.free, p.locked, p.maintenance)
            })
        });
        Ok(ProviderOffer {
            quota: report.quota,
            contracted: report.sold,
            used: report.used,
            free: report.free,
            price: Nano(provide.price),
            egress_price: Nano(provide.egress_price),
            region: provide.region,
            operator: provide.operator,
            taking: shown(provide.taking),
            refuses: report.refuses.as_ref().map(refuses),
            contracts: count(report.contracts),
            last_end_epoch: last,
            last_end: last.map(|epoch| self.starts(epoch)),
            collateral_free: Nano(free),
            collateral_locked: Nano(locked),
            maintenance: absence.map(|absence| self.absence(&absence)),
            given: self.given.clone(),
        })
    }

    /// Writes the change down, then lets the engine and the store go by it.
    pub(crate) async fn change_offer(
        &self,
        change: OfferChange,
    ) -> Result<ProviderOffer, RpcError> {
        let mut provide = self.offering().await?;
        judge(&change)?;
        let mut lines: Vec<(&str, String)> = Vec::new();
        if let Some(quota) = change.quota {
            provide.quota = Bytes(quota);
            lines.push(("provide", format!("{quota}B")));
        }
        if let Some(Nano(price)) = change.price {
            provide.price = price;
            lines.push(("price", price.to_string()));
        }
        if let Some(region) = change.region {
            provide.region.clone_from(&region);
            lines.push(("region", region));
        }
        if let Some(operator) = change.operator {
            provide.operator.clone_from(&operator);
            lines.push(("operator", operator));
        }
        if let Some(taking) = change.taking {
            provide.taking = meant(taking);
            lines.push(("taking", word(taking).to_owned()));
        }
        let file = self.config.clone();
        let edited = tokio::task::spawn_blocking(move || {
            file.edit(|document| {
                for (key, to) in &lines {
                    set_up(document, key, to);
                }
            })
        });
        edited.await.map_err(failed)?.map_err(failed)?;
        if let Some(keeper) = &self.volumes {
            keeper.volumes.set_quota(provide.quota);
        }
        let told = Input::Command(Command::Provider(ProviderCommand::Offer(provide)));
        self.driver.input(told).await.map_err(stopping)?;
        self.offer_now().await
    }

    pub(crate) async fn announce(&self, params: AbsenceParams) -> Result<Absence, RpcError> {
        let AbsenceParams { first, epochs } = params;
        let (done, queued) = oneshot::channel();
        let (ended, end) = oneshot::channel();
        self.offering().await?;
        let msg = Msg::Maintain {
            first,
            epochs,
            done,
            ended,
        };
        self.driver.send(msg).await.map_err(stopping)?;
        let sent = self.included(queued, end).await?;
        if sent.status == TxStatus::Submitted {
            let why = "no block has taken the announcement yet. While it runs, this node goes on \
                       handing it in as long as it is in time: `larder offer` shows whether it stands";
            return Err(RpcError::new(Code::NoValidator, why));
        }
        let absence = larder_ledger::Absence { first, epochs };
        Ok(self.absence(&absence))
    }

    /// Takes back free collateral: all of it, unless an amount is named.
    pub(crate) async fn withdraw(&self, params: WithdrawParams) -> Result<Withdrawn, RpcError> {
        let record = self.state(|state| state.provider(&self.node).map(|p| (p.free, p.payout)));
        let Some((free, payout)) = record else {
            return Err(RpcError::new(
                Code::NotOnLedger,
                "this node is not registered as a provider: it has no collateral",
            ));
        };
        if payout != self.account {
            let why =
                format_args!("its collateral belongs to the account {payout}, not to this home's");
            return Err(RpcError::new(Code::TransactionRefused, why));
        }
        let amount = params.amount.map_or(free, |amount| amount.0);
        if amount == Amount::ZERO || amount > free {
            let why = format_args!(
                "{free} credits are free: what contracts lock frees as they end; `larder offer` \
                 shows it"
            );
            return Err(RpcError::new(Code::InsufficientCredit, why));
        }
        Ok(Withdrawn {
            amount: Nano(amount),
            sent: self.sent(Payment::Withdraw(amount)).await?,
        })
    }

    fn absence(&self, absence: &larder_ledger::Absence) -> Absence {
        Absence {
            first: absence.first,
            epochs: absence.epochs,
            begins: self.starts(absence.first),
            ends: self.starts(absence.first.saturating_add(absence.epochs)),
            next_from: absence.next(),
        }
    }

    pub(crate) async fn held(&self) -> Result<Vec<HeldContract>, RpcError> {
        let mut contracts = self.engine(Engine::contracts).await?;
        contracts.retain(|c| !c.rented);
        contracts.sort_by_key(|c| (c.leaf.end_epoch, c.contract));
        let shown = contracts.iter().map(|c| HeldContract {
            contract: Text(c.contract),
            renter: Text(c.leaf.renter),
            active: c.active,
            start_epoch: c.leaf.start_epoch,
            end_epoch: c.leaf.end_epoch,
            ends: self.starts(c.leaf.end_epoch),
            capacity: c.leaf.capacity_chunks * CHUNK,
            used: c.leaf.used_chunks * CHUNK,
            rate: Nano(c.leaf.rate),
            collateral: Nano(c.leaf.collateral),
        });
        Ok(shown.collect())
    }

    pub(crate) async fn volumes_now(&self) -> Result<Vec<Volume>, RpcError> {
        let keeper = self.keeper()?.clone();
        let known = self.engine(Engine::shards_by_volume).await?;
        let report = tokio::task::spawn_blocking(move || keeper.volumes.report());
        let shown = report.await.map_err(failed)?.into_iter().map(|volume| {
            let shards = known
                .get(&volume.config.id)
                .map_or(0, |roots| roots.len() as u64);
            Volume {
                id: volume.config.id.0,
                path: volume.config.path.to_string_lossy().into_owned(),
                size: volume.config.size.map(|size| size.0),
                used: volume.used.0,
                free: volume.free.0,
                shards,
                trouble: volume.trouble,
                emptying: volume.closing,
            }
        });
        Ok(shown.collect())
    }

    pub(crate) async fn add_volume(&self, params: VolumeParams) -> Result<Volume, RpcError> {
        let keeper = self.keeper()?;
        let added = keeper.add(PathBuf::from(&params.path), params.size.map(Bytes));
        added.await.map_err(|e| refused(&e))?;
        self.volume(&params.path).await
    }

    pub(crate) async fn resize_volume(&self, params: VolumeParams) -> Result<Volume, RpcError> {
        let keeper = self.keeper()?;
        let resized = keeper.resize(Path::new(&params.path), params.size.map(Bytes));
        resized.await.map_err(|e| refused(&e))?;
        self.volume(&params.path).await
    }

    pub(crate) async fn remove_volume(
        &self,
        params: RemoveVolumeParams,
    ) -> Result<VolumeRemoved, RpcError> {
        let keeper = self.keeper()?;
        let removed = keeper.remove(Path::new(&params.path), params.lost).await;
        Ok(match removed.map_err(|e| refused(&e))? {
            Removed::Lost(shards) => VolumeRemoved {
                shards,
                emptying: false,
            },
            Removed::Emptying(shards) => VolumeRemoved {
                shards,
                emptying: true,
            },
        })
    }

    async fn volume(&self, path: &str) -> Result<Volume, RpcError> {
        let volumes = self.volumes_now().await?;
        let found = volumes.into_iter().find(|v| v.path == path);
        found.ok_or_else(|| RpcError::new(Code::Internal, "the volume is gone again"))
    }

    async fn trouble(&self) -> Vec<String> {
        let Some(keeper) = self.volumes.clone() else {
            return Vec::new();
        };
        let report = tokio::task::spawn_blocking(move || keeper.volumes.report()).await;
        let volumes = report.unwrap_or_default().into_iter();
        let trouble = volumes.filter_map(|volume| {
            let path = volume.config.path;
            volume
                .trouble
                .map(|why| format!("{}: {why}", path.display()))
        });
        trouble.collect()
    }

    fn keeper(&self) -> Result<&crate::volumes::Keeper, RpcError> {
        self.volumes.as_ref().ok_or_else(not_providing)
    }

    async fn offering(&self) -> Result<Provide, RpcError> {
        let provide = self.engine(|e| e.offering().cloned()).await?;
        provide.ok_or_else(not_providing)
    }

    fn schedule(&self) -> Schedule {
        Schedule::new(self.genesis.start, &self.genesis.params)
    }

    fn starts(&self, epoch: Epoch) -> Moment {
        Moment(self.schedule().epoch_start(epoch))
    }
}

/// Further misses in a row that make a provider FAULTED.
pub(crate) fn misses_left(strikes: u32, row: u32, faulted_after: u32) -> u32 {
    let left = faulted_after.saturating_sub(row);
    left.min(MOST_STRIKES.saturating_sub(strikes))
}

/// What an offer of the network may be.
fn judge(change: &OfferChange) -> Result<(), RpcError> {
    let bad = |why: String| Err(RpcError::new(Code::BadValue, why));
    let long = |text: &Option<String>, most: usize| text.as_ref().is_some_and(|t| t.len() > most);
    if long(&change.region, MAX_REGION) {
        return bad(format!("a region has at most {MAX_REGION} characters"));
    }
    if long(&change.operator, MAX_OPERATOR) {
        return bad(format!("an operator has at most {MAX_OPERATOR} characters"));
    }
    if change.quota.is_some_and(|q| q > 0 && q < LEAST_QUOTA.0) {
        return bad(format!("offer at least {LEAST_QUOTA}, or nothing"));
    }
    Ok(())
}

/// Why nothing is taken on, as its operator is told.
fn refuses(why: &Refusal) -> String {
    if *why == Refusal::Storage {
        return "a volume does not give back what it holds: `larder volume list` names it".into();
    }
    why.to_string()
}

const fn shown(taking: larder_engine::Taking) -> Taking {
    match taking {
        larder_engine::Taking::All => Taking::All,
        larder_engine::Taking::Paused => Taking::Paused,
        larder_engine::Taking::Leaving => Taking::Leaving,
    }
}

pub(crate) const fn meant(taking: Taking) -> larder_engine::Taking {
    match taking {
        Taking::All => larder_engine::Taking::All,
        Taking::Paused => larder_engine::Taking::Paused,
        Taking::Leaving => larder_engine::Taking::Leaving,
    }
}

/// As `config.toml` writes it.
const fn word(taking: Taking) -> &'static str {
    match taking {
        Taking::All => "all",
        Taking::Paused => "paused",
        Taking::Leaving => "leaving",
    }
}

fn failed(error: impl std::fmt::Display) -> RpcError {
    RpcError::new(Code::Internal, error)
}

fn not_providing() -> RpcError {
    let why = "this node offers nothing: start it with `larder up --provide SIZE`";
    RpcError::new(Code::NotProviding, why)
}

fn refused(error: &VolumeError) -> RpcError {
    let code = match error {
        VolumeError::NotAFolder(_) => Code::BadValue,
        VolumeError::NoRoom { .. } => Code::DiskFull,
        VolumeError::Stopping(_) => Code::Stopping,
        VolumeError::Config(_) => Code::Internal,
        VolumeError::Unknown(_)
        | VolumeError::There(_)
        | VolumeError::Foreign(_)
        | VolumeError::Home(_)
        | VolumeError::NotLost(_)
        | VolumeError::Unreadable(_)
        | VolumeError::Closing(_)
        | VolumeError::Store(_) => Code::BadVolume,
    };
    RpcError::new(code, error)
}
