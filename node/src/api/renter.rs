//! `renter_*`: what this node rents.

use super::NodeApi;
use crate::home::now;
use larder_contracts::same_money;
use larder_engine::report::ContractReport;
use larder_rpc::{
    Empty, Nano, Page, PageParams, RenterContract, RenterMethods, Repairs, RpcError, Text,
};
use larder_types::params::CHUNK;

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

    async fn renter_repairs(&self, _: Empty) -> Result<Repairs, RpcError> {
        self.engine(crate::repairs::shown).await
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
