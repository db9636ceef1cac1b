//! `market_*`: what providers offer.

use super::NodeApi;
use crate::home::now;
use larder_rpc::{MarketMethods, Moment, Nano, Offer, Page, PageParams, RpcError, Text};

impl MarketMethods for NodeApi {
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
}
