//! `market_*`: what providers offer.

use super::NodeApi;
use crate::home::now;
use crate::jobs::no_room;
use crate::market;
use crate::shown::{as_of, count, not_on_ledger};
use larder_rpc::{
    Empty, MarketMethods, MarketProvider, MarketStats, Moment, Nano, Offer, Page, PageParams,
    ProviderParams, Quote, QuoteParams, RpcError, Text,
};
use larder_types::params::CHUNK;

impl MarketMethods for NodeApi {
    async fn market_list_offers(&self, params: PageParams) -> Result<Page<Offer>, RpcError> {
        let mut offers = self.engine(|e| e.offers(now())).await?;
        offers.sort_by_key(|o| o.offer.provider);
        let shown = offers.into_iter().map(|o| shown(o.offer));
        Ok(Page::cut(shown, &params)?)
    }

    async fn market_get_provider(
        &self,
        params: ProviderParams,
    ) -> Result<MarketProvider, RpcError> {
        let provider = params.provider.0;
        let known = self.engine(move |e| {
            let mut offers = e.offers(now()).into_iter().map(|o| o.offer);
            let offer = offers.find(|o| o.provider == provider);
            (offer, e.audits_of(&provider))
        });
        let (offer, audits) = known.await?;
        let guard = self.ledger.read();
        let (state, tallies) = &*guard;
        let record = state.provider(&provider);
        if record.is_none() && offer.is_none() {
            return Err(not_on_ledger("provider", provider));
        }
        let tally = tallies.get(&provider).copied().unwrap_or_default();
        Ok(MarketProvider {
            provider: params.provider,
            offer: offer.map(shown),
            registered: record.is_some(),
            collateral_free: Nano(record.map(|p| p.free).unwrap_or_default()),
            collateral_locked: Nano(record.map(|p| p.locked).unwrap_or_default()),
            contracted: record.map_or(0, |p| p.capacity.saturating_mul(CHUNK)),
            strikes: record.map_or(0, |p| p.misses.count_ones()),
            misses_in_a_row: record.map_or(0, larder_ledger::Provider::consecutive_misses),
            faulted: record.is_some_and(|p| p.faulted.is_some()),
            proven: tally.passed,
            missed: tally.missed,
            audits_passed: audits.passed,
            audits_failed: audits.failed,
            audits_silent: audits.silent,
            as_of: as_of(state),
        })
    }

    async fn market_stats(&self, _: Empty) -> Result<MarketStats, RpcError> {
        let offers = self.engine(|e| e.offers(now())).await?;
        let offers: Vec<_> = offers.into_iter().map(|o| o.offer).collect();
        Ok(self.state(|state| {
            let capacity = state.providers().map(|p| p.capacity);
            let chunks = capacity.fold(0, u64::saturating_add);
            MarketStats {
                providers: count(offers.len() as u64),
                operators: market::operators(&offers),
                free: market::free(&offers),
                prices: market::prices(&offers),
                regions: market::regions(&offers),
                registered: count(state.providers().count() as u64),
                contracted: chunks.saturating_mul(CHUNK),
                as_of: as_of(state),
            }
        }))
    }

    async fn market_quote(&self, params: QuoteParams) -> Result<Quote, RpcError> {
        let ask = market::ask(&params);
        let quote = self.engine(move |e| e.quote_afresh(now(), ask)).await?;
        Ok(market::shown(quote.map_err(|e| no_room(&e))?, &params))
    }
}

fn shown(o: larder_contracts::Offer) -> Offer {
    Offer {
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
    }
}
