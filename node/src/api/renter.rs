//! `renter_*`: what this node rents.

use super::NodeApi;
use super::history::NEWEST;
use crate::home::now;
use crate::index::Kept;
use crate::jobs::no_room;
use crate::market;
use crate::shown::{count, internal, not_on_ledger, stopping};
use larder_contracts::same_money;
use larder_engine::report::ContractReport;
use larder_engine::{Command, Input, RentRefusal};
use larder_ledger::{Cause, Movement};
use larder_rpc::{
    Code, ContractHealth, Empty, Moment, Nano, Page, PageParams, Quote, QuoteParams, RentParams,
    RentedParams, RenterContract, RenterMethods, Repairs, RpcError, Spending, Text,
};
use larder_types::params::CHUNK;
use larder_types::{Amount, Bytes, Schedule};

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

    async fn renter_spending(&self, _: Empty) -> Result<Spending, RpcError> {
        let known = self.engine(|e| (e.contracts(), e.spendable())).await?;
        let head = self.state(|state| state.head().height);
        let rows = self.index.movements(&self.account, head, NEWEST, HISTORY);
        let rows = rows.await.map_err(internal)?;
        let history: Vec<Movement> = rows.iter().map(|row| row.movement).collect();
        let kept = self.index.knows(self.account).await.map_err(internal)?;
        let epoch = self.state(larder_ledger::State::epoch);
        let spent = spending(&known, epoch, &history);
        Ok(Spending {
            whole_history: spent.whole_history && kept == Kept::Whole,
            ..spent
        })
    }

    async fn renter_contract_health(
        &self,
        params: RentedParams,
    ) -> Result<ContractHealth, RpcError> {
        let id = params.contract.0;
        let known = self.engine(move |e| {
            let report = e
                .contracts()
                .into_iter()
                .find(|c| c.rented && c.contract == id);
            report.zip(e.lease_health(&id))
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

/// What contracts cost, in `epoch`, beside the account's free credit and its history.
fn spending(
    (contracts, free): &(Vec<ContractReport>, Amount),
    epoch: u32,
    history: &[Movement],
) -> Spending {
    let add = |sum: Amount, more| sum.checked_add(more).unwrap_or(Amount(u64::MAX));
    let rented = || {
        contracts
            .iter()
            .filter(|c| c.rented && c.leaf.end_epoch > epoch)
    };
    let per_epoch = rented().map(|c| c.leaf.rate).fold(Amount::ZERO, add);
    let to_come = |c: &ContractReport| {
        let left = c
            .leaf
            .end_epoch
            .saturating_sub(c.leaf.start_epoch.max(epoch));
        c.leaf
            .rate
            .checked_mul(u64::from(left))
            .unwrap_or(Amount(u64::MAX))
    };
    let escrow = |incoming| {
        let moved = history.iter().filter(|m| m.cause == Cause::Escrow);
        moved
            .filter(|m| m.is_in == incoming)
            .map(|m| m.amount)
            .fold(Amount::ZERO, add)
    };
    Spending {
        contracts: count(rented().count() as u64),
        per_epoch: Nano(per_epoch),
        reserved: Nano(
            rented()
                .filter(|c| c.active)
                .map(to_come)
                .fold(Amount::ZERO, add),
        ),
        free: Nano(*free),
        epochs_covered: free.nano().checked_div(per_epoch.nano()),
        set_aside: Nano(escrow(false).saturating_sub(escrow(true))),
        whole_history: history.len() < HISTORY,
    }
}

impl NodeApi {
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_engine::rows::AuditRow;
    use larder_proofs::ContractLeaf;
    use larder_types::{AccountId, ContractId, NodeId};

    fn contract(rate: u64, start_epoch: u32, end_epoch: u32) -> ContractReport {
        ContractReport {
            contract: ContractId([1; 32]),
            provider: NodeId([2; 32]),
            leaf: ContractLeaf {
                rate: Amount(rate),
                start_epoch,
                end_epoch,
                ..ContractLeaf::default()
            },
            active: true,
            rented: true,
            audits: AuditRow::default(),
            refuses: false,
        }
    }

    fn moved(cause: Cause, is_in: bool, nano: u64) -> Movement {
        Movement {
            account: AccountId([3; 32]),
            cause,
            is_in,
            amount: Amount(nano),
            other: None,
            tx: None,
        }
    }

    #[test]
    fn spending_is_of_contracts_in_force_and_of_what_came_back() {
        let contracts = vec![
            contract(10, 0, 20),
            contract(5, 12, 20),
            contract(99, 0, 10),
        ];
        let history = [
            moved(Cause::Escrow, false, 1_000),
            moved(Cause::Escrow, true, 100),
            moved(Cause::Escrow, true, 50),
            moved(Cause::Transfer, false, 7),
        ];
        let known = (contracts, Amount(100));
        let spent = spending(&known, 10, &history);
        assert_eq!((spent.contracts, spent.per_epoch), (2, Nano(Amount(15))));
        assert_eq!(spent.reserved, Nano(Amount(10 * 10 + 5 * 8)));
        assert_eq!(spent.epochs_covered, Some(6));
        assert_eq!(spent.set_aside, Nano(Amount(850)));
        assert!(spent.whole_history);
        let nothing = spending(&(Vec::new(), Amount(1)), 10, &[]);
        assert_eq!(nothing.epochs_covered, None);
    }
}
