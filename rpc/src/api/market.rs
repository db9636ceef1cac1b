//! `market_*`: what providers offer.

use crate::types::{MarketProvider, MarketStats, Offer, ProviderParams, Quote, QuoteParams};
use crate::values::{Empty, Page, PageParams};

super::methods! {
    /// What providers offer.
    MarketMethods: "market";

    /// Valid offers, by provider.
    "market_listOffers" market_list_offers(PageParams) -> Page<Offer>, Read;
    /// What is known of a provider: its offer, its record on the ledger, this home's audits of it.
    "market_getProvider" market_get_provider(ProviderParams) -> MarketProvider, Read;
    /// The offers that hold, as a whole and by region.
    "market_stats" market_stats(Empty) -> MarketStats, Read;
    /// What storing would cost an account that rents nothing yet, by what placement would choose now.
    "market_quote" market_quote(QuoteParams) -> Quote, Read;
}
