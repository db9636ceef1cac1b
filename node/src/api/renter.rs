//! `renter_*`: what this node rents.

use super::NodeApi;
use super::history::NEWEST;
use crate::configuring::{ALLOWANCE, Key};
use crate::home::now;
use crate::index::Kept;
use crate::jobs::no_room;
use crate::market;
use crate::shown::{count, internal, not_on_ledger, stopping};
use larder_contracts::same_money;
use larder_engine::report::ContractReport;
use larder_engine::spending::spent;
use larder_engine::{Command, Input, RentRefusal};
use larder_keys::{Signer, Words};
use larder_ledger::{Closing, Movement, Tx};
use larder_rpc::{
    AllowanceParams, CancelParams, Cancelled, Code, ContractHealth, Empty, Moment, Nano, Page,
    PageParams, Quote, QuoteParams, RentParams, RentedParams, RenterContract, RenterMethods,
    Repairs, RpcError, Secret, Spending, Text,
};
use larder_types::params::CHUNK;
use larder_types::{Bytes, ContractId, Schedule};
use std::collections::BTreeSet;

/// Movements of the account that are looked at.
const HISTORY: usize = 10_000;

impl RenterMethods for NodeApi {
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

    async fn renter_quote(&self, params: QuoteParams) -> Result<Quote, RpcError> {
        let ask = market::ask(&params);
        let quote = self.engine(move |e| e.quote(now(), ask)).await?;
        Ok(market::shown(quote.map_err(|e| no_room(&e))?, &params))
    }

    async fn renter_create_contract(&self, params: RentParams) -> Result<RenterContract, RpcError> {
        let (provider, size) = (params.provider.0, Bytes(params.size));
        let may = self
            .engine(move |e| e.may_rent(now(), &provider, size))
            .await?;
        may.map_err(|e| match &e {
            RentRefusal::Rented => RpcError::new(Code::ContractRefused, &e),
            RentRefusal::NoOffer => RpcError::new(Code::NoOffers, &e),
            RentRefusal::NoRoom(why) => no_room(why),
        })?;
        let rent = Input::Command(Command::Rent { provider, size });
        self.driver.input(rent).await.map_err(stopping)?;
        self.rented(move |c| c.provider == provider)
            .await?
            .ok_or_else(|| {
                let why =
                    "the contract was not opened: what it takes has changed meanwhile; ask again";
                RpcError::new(Code::ContractRefused, why)
            })
    }

    async fn renter_renew_contract(
        &self,
        params: RentedParams,
    ) -> Result<RenterContract, RpcError> {
        let contract = params.contract.0;
        let renew = Input::Command(Command::Renew { contract });
        self.driver.input(renew).await.map_err(stopping)?;
        let shown = self.rented(move |c| c.contract == contract).await?;
        shown.ok_or_else(|| not_on_ledger("contract of this home", contract))
    }

    async fn renter_cancel_contract(&self, params: CancelParams) -> Result<Cancelled, RpcError> {
        let id = params.contract.0;
        let ending = self.ending();
        let health = self.engine(move |e| e.lease_health(&id, &ending)).await?;
        let health = health.ok_or_else(|| not_on_ledger("contract of this home", id))?;
        if health.needed > 0 && !params.force {
            let why = format_args!(
                "{} segments could be read no more without what lies there: wait until `larder \
                 repairs` shows full redundancy, rent from somebody else, or insist with `force`",
                health.needed
            );
            return Err(RpcError::new(Code::StillNeeded, why));
        }
        if self.state(|state| state.contract(&id).is_none()) {
            let why = "the contract has not begun: notice can be given from the next epoch on";
            return Err(RpcError::new(Code::NotReady, why));
        }
        let key = self.key_that_takes_back(&params.words)?;
        let most = self.genesis.params.max_expiry;
        let expiry = self.state(|state| state.head().height) + most;
        let genesis = self.genesis.hash();
        let notice = Closing::notice(&key, self.account, id, expiry, &genesis);
        let sent = self.submitted(Tx::CloseByRenter(notice)).await?;
        Ok(Cancelled {
            contract: params.contract,
            tx: sent.tx,
            status: sent.status,
            leaves_in: self.state(|state| state.leaves_in(&id)),
        })
    }

    async fn renter_set_allowance(&self, params: AllowanceParams) -> Result<Spending, RpcError> {
        let key = Key::to_set(ALLOWANCE, self.provides);
        let key = key.map_err(|e| RpcError::new(Code::Internal, e))?;
        let value = params.allowance.map(|nano| nano.0.to_string().into());
        self.configure(key, value.as_ref()).await?;
        self.renter_spending(Empty {}).await
    }

    async fn renter_spending(&self, _: Empty) -> Result<Spending, RpcError> {
        let known = self
            .engine(|e| (e.contracts(), e.spendable(), e.allowance()))
            .await?;
        let (contracts, free, allowance) = known;
        let head = self.state(|state| state.head().height);
        let rows = self.index.movements(&self.account, head, NEWEST, HISTORY);
        let rows = rows.await.map_err(internal)?;
        let history: Vec<Movement> = rows.iter().map(|row| row.movement).collect();
        let kept = self.index.knows(self.account).await.map_err(internal)?;
        let epoch = self.state(larder_ledger::State::epoch);
        let spent = spent(&contracts, epoch, &history);
        Ok(Spending {
            contracts: count(spent.contracts),
            per_epoch: Nano(spent.per_epoch),
            reserved: Nano(spent.reserved),
            free: Nano(free),
            epochs_covered: free.nano().checked_div(spent.per_epoch.nano()),
            set_aside: Nano(spent.set_aside),
            whole_history: history.len() < HISTORY && kept == Kept::Whole,
            allowance: allowance.map(Nano),
        })
    }

    async fn renter_contract_health(
        &self,
        params: RentedParams,
    ) -> Result<ContractHealth, RpcError> {
        let id = params.contract.0;
        let ending = self.ending();
        let known = self.engine(move |e| {
            let report = e
                .contracts()
                .into_iter()
                .find(|c| c.rented && c.contract == id);
            report.zip(e.lease_health(&id, &ending))
        });
        let (report, health) = known
            .await?
            .ok_or_else(|| not_on_ledger("contract of this home", id))?;
        let schedule = Schedule::new(self.genesis.start, &self.genesis.params);
        let end = report.leaf.end_epoch;
        Ok(ContractHealth {
            contract: params.contract,
            provider: Text(report.provider),
            signed: health.signed,
            active: report.active,
            end_epoch: end,
            ends: Moment(schedule.epoch_start(end)),
            lapsing: health.lapsing,
            shards: health.shards,
            segments_that_need_it: health.needed,
            misses_in_a_row: health.misses,
            proved_lately: health.proved_lately,
            faulted: health.faulted,
            refuses: report.refuses,
            audits_passed: report.audits.passed,
            audits_failed: report.audits.failed,
            audits_silent: report.audits.silent,
        })
    }

    async fn renter_repairs(&self, _: Empty) -> Result<Repairs, RpcError> {
        self.engine(crate::repairs::shown).await
    }
}

impl NodeApi {
    /// The account's contracts that end by notice.
    fn ending(&self) -> BTreeSet<ContractId> {
        self.state(|state| {
            let rented = state.contracts_of(&self.account);
            let ids = rented.map(|(_, _, leaf)| leaf.contract_id);
            ids.filter(|id| state.leaves_in(id).is_some()).collect()
        })
    }

    /// The key that may end what a device may not: the admin key, if the ledger knows one.
    fn key_that_takes_back(&self, words: &Secret) -> Result<Signer, RpcError> {
        let seed = Words::parse(words.reveal()).map(|words| words.seed());
        let seed = seed.map_err(|e| RpcError::new(Code::WrongWords, e))?;
        if seed.account().account() != self.account {
            let why = "the words are another account's";
            return Err(RpcError::new(Code::WrongWords, why));
        }
        let account = self.state(|state| state.account(&self.account).copied());
        let has_admin = account.is_some_and(|account| account.admin.is_some());
        Ok(if has_admin {
            seed.admin()
        } else {
            seed.account()
        })
    }

    /// One of the contracts that the home rents.
    async fn rented(
        &self,
        is: impl Fn(&ContractReport) -> bool + Send + 'static,
    ) -> Result<Option<RenterContract>, RpcError> {
        let known = self.engine(move |e| {
            let mut contracts = e.contracts().into_iter();
            let found = contracts.find(|c| c.rented && is(c));
            (found, e.offers(now()))
        });
        let (found, offers) = known.await?;
        Ok(found.map(|c| {
            let offer = offers.iter().find(|o| o.offer.provider == c.provider);
            self.renter_contract(&c, offer.map(|o| &o.offer))
        }))
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
            leaves_in: self.state(|state| state.leaves_in(&c.contract)),
        }
    }
}
