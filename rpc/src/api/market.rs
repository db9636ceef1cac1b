//! `market_*`: what providers offer.

use crate::types::{Offer};
use crate::values::{Page, PageParams};

super::methods! {
    /// What providers offer.
    MarketMethods: "market";

    /// Valid offers, by provider.
    "market_listOffers" market_list_offers(PageParams) -> Page<Offer>, Read;
}
