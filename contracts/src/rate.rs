//! The one price formula: from an offer's nano per GiB and 30 days to a contract's nano per epoch.
//! Both sides must call it. `docs/protocol.md` §3.10.

use larder_types::{Amount, Params};

/// Chunks in one GiB.
const CHUNKS_PER_GIB: u128 = 1 << 20;
/// Milliseconds in 30 days.
const MONTH_MS: u128 = 30 * 24 * 3_600 * 1_000;
/// Both, the divisor of the formula.
const GIB_MONTH: u128 = CHUNKS_PER_GIB * MONTH_MS;

/// What `capacity_chunks` cost per epoch at `price` (nano per GiB and 30 days): rounded up, at
/// least `params.min_rate`. A product beyond any supply becomes the largest amount there is, which
/// nobody can pay.
#[must_use]
pub fn rate(price: Amount, capacity_chunks: u64, params: &Params) -> Amount {
    u128::from(price.0)
        .checked_mul(u128::from(capacity_chunks))
        .and_then(|product| product.checked_mul(u128::from(params.epoch.0)))
        .and_then(|product| u64::try_from(product.div_ceil(GIB_MONTH)).ok())
        .map_or(Amount(u64::MAX), Amount)
        .max(params.min_rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_types::{Millis, Profile};

    #[test]
    fn a_gib_for_thirty_day_long_epochs_costs_the_price() {
        let params = Params::profile(Profile::Public);
        let price = Amount::from_credits(3);
        assert_eq!(rate(price, 1 << 20, &params), Amount(100_000_000));
        assert_eq!(rate(price, 1 << 21, &params), Amount(200_000_000));
        let half = Params::profile(Profile::Public).with_epoch(Millis(43_200_000));
        assert_eq!(rate(price, 1 << 20, &half), Amount(50_000_000));
    }

    #[test]
    fn rates_round_up_to_at_least_the_least() {
        let params = Params::profile(Profile::Dev);
        assert_eq!(rate(Amount(1), 1, &params), Amount(1));
        assert_eq!(rate(Amount::ZERO, 1 << 20, &params), params.min_rate);
        // 60 s of 30 days is 1/43,200: 43,201 nano per GiB-month is 1.00002 nano per epoch.
        assert_eq!(rate(Amount(43_200), 1 << 20, &params), Amount(1));
        assert_eq!(rate(Amount(43_201), 1 << 20, &params), Amount(2));
    }

    #[test]
    fn absurd_products_saturate() {
        let params = Params::profile(Profile::Public);
        assert_eq!(rate(Amount(u64::MAX), u64::MAX, &params), Amount(u64::MAX));
    }
}
