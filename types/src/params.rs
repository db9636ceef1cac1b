//! The protocol's parameters as one value, fixed in a network's genesis. `docs/protocol.md` §3.1.

use crate::size::MIB;
use crate::{Amount, Bytes, Millis};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Bytes in one BLAKE3 chunk, the unit of proofs.
pub const CHUNK: u64 = 1024;
/// A shard's length is a multiple of this (16 chunks).
pub const SHARD_STEP: u64 = 16 * 1024;

/// What of pay a public network burns at least, in parts per million: what contracts with oneself
/// cost. `docs/protocol.md` §3.7.
pub const LEAST_BURN_PPM: u32 = 5_000;

/// Which of the three parameter sets a network started from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// One machine, minutes instead of days, a faucet.
    #[default]
    Dev,
    /// Members who trust each other.
    Private,
    /// Strangers.
    Public,
}

/// A word that names no profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such profile: {0:?} (dev, private or public)")]
pub struct ParseProfileError(String);

impl FromStr for Profile {
    type Err = ParseProfileError;
    fn from_str(s: &str) -> Result<Self, ParseProfileError> {
        match s {
            "dev" => Ok(Self::Dev),
            "private" => Ok(Self::Private),
            "public" => Ok(Self::Public),
            _ => Err(ParseProfileError(s.to_owned())),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dev => "dev",
            Self::Private => "private",
            Self::Public => "public",
        })
    }
}

/// Everything that a network's members must agree on beside the code. Spans in milliseconds,
/// shares in parts per million, terms in epochs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Where these numbers come from.
    pub profile: Profile,
    /// T_e, an epoch's length.
    pub epoch: Millis,
    /// S, slots in an epoch.
    pub slots: u32,
    /// W, how long a proof may take.
    pub window: Millis,
    /// c, draws a proof answers.
    pub challenges: u8,
    /// Misses in a row until FAULTED.
    pub faulted_after: u32,
    /// φ, the fee on pay, in parts per million.
    pub fee_ppm: u32,
    /// What of pay is burned (part of φ), in parts per million.
    pub burn_ppm: u32,
    /// Epochs until pay vests, at most 7.
    pub vesting: u32,
    /// Shortest term, epochs.
    pub min_term: u32,
    /// Longest term, epochs.
    pub max_term: u32,
    /// Smallest contract, chunks.
    pub min_capacity_chunks: u64,
    /// Smallest rate of a contract, nano per epoch.
    pub min_rate: Amount,
    /// Least collateral at Open, in epochs of pay.
    pub collateral_epochs: u32,
    /// Most collateral, in epochs of pay: contracts bear a charge by their collateral, and one of a
    /// provider's own with much of it would bear the others' share.
    pub collateral_most: u32,
    /// Capacity up to which a provider may begin without collateral, and the most that a new one may
    /// hold; nothing: everyone begins with collateral, and holds what it can back. Chunks.
    pub starter_capacity_chunks: u64,
    /// Epochs from a renter's notice to the contract's end.
    pub notice: u32,
    /// Least fee for each draw of a renter's question, nano.
    pub draw_fee: Amount,
    /// Fee for each byte of a transaction, nano.
    pub tx_fee_per_byte: Amount,
    /// What is set aside when an account first appears, and returned when it leaves.
    pub existence: Amount,
    /// What the faucet grants each new account; `None`: no faucet.
    pub faucet: Option<Amount>,
    /// What a sub-key may spend in an epoch where its delegation names no cap of its own; `None`:
    /// all there is.
    pub sub_key_cap: Option<Amount>,
    /// Capacity is bought in steps of this size.
    pub capacity_step: Bytes,
    /// Shortest time between two blocks.
    pub block_interval: Millis,
    /// Longest validity of an offer.
    pub offer_ttl: Millis,
    /// The most a transaction's expiry may lie ahead, in blocks.
    pub max_expiry: u64,
    /// What a candidate for validator puts down, at least.
    pub validator_bond: Amount,
    /// Whole epochs for which that stays locked after the validator has left: for so long what it did
    /// can be shown and is paid for.
    pub unbonding: u32,
}

impl Params {
    /// The table of `docs/protocol.md` §3.1.
    #[must_use]
    pub fn profile(profile: Profile) -> Self {
        const MINUTE: u64 = 60_000;
        const HOUR: u64 = 60 * MINUTE;
        let dev = Self {
            profile,
            epoch: Millis(MINUTE),
            slots: 4,
            window: Millis(MINUTE / 2),
            challenges: 8,
            faulted_after: 3,
            fee_ppm: 0,
            burn_ppm: 0,
            vesting: 0,
            min_term: 1,
            max_term: 400,
            min_capacity_chunks: 0,
            min_rate: Amount(1),
            collateral_epochs: 0,
            collateral_most: 60,
            starter_capacity_chunks: 0,
            notice: 1,
            draw_fee: Amount(1_000),
            tx_fee_per_byte: Amount::ZERO,
            existence: Amount::ZERO,
            faucet: Some(Amount::from_credits(100)),
            sub_key_cap: None,
            capacity_step: Bytes(64 * MIB),
            block_interval: Millis(200),
            offer_ttl: Millis(24 * HOUR),
            max_expiry: 20_000,
            // A tenth of the faucet's grant.
            validator_bond: Amount::from_credits(10),
            unbonding: 3,
        };
        match profile {
            Profile::Dev => dev,
            Profile::Private => Self {
                epoch: Millis(HOUR),
                slots: 12,
                window: Millis(20 * MINUTE),
                challenges: 16,
                faulted_after: 4,
                vesting: 1,
                min_term: 7,
                collateral_epochs: 30,
                notice: 7,
                sub_key_cap: Some(Amount::from_credits(100)),
                validator_bond: Amount::ZERO,
                // 21 days.
                unbonding: 21 * 24,
                ..dev
            },
            Profile::Public => Self {
                epoch: Millis(24 * HOUR),
                slots: 24,
                window: Millis(6 * HOUR),
                challenges: 16,
                faulted_after: 4,
                fee_ppm: 10_000,
                burn_ppm: 5_000,
                vesting: 7,
                min_term: 7,
                max_term: 365,
                // 1 GiB (the protocol's least contract is 1 GiB for 30 epochs).
                min_capacity_chunks: 1 << 20,
                collateral_epochs: 30,
                // 64 GiB.
                starter_capacity_chunks: 64 << 20,
                notice: 7,
                tx_fee_per_byte: Amount(10),
                existence: Amount(10_000_000),
                min_rate: Amount(1_000),
                faucet: None,
                sub_key_cap: Some(Amount::from_credits(100)),
                validator_bond: Amount::from_credits(10_000),
                // 21 days: longer than the oldest checkpoint that a node may begin with.
                unbonding: 21,
                ..dev
            },
        }
    }

    /// The same parameters with epochs of another length; the window scales with them.
    ///
    /// # Panics
    /// Never for sound parameters: a window is shorter than its epoch.
    #[must_use]
    pub fn with_epoch(mut self, epoch: Millis) -> Self {
        let window =
            u128::from(self.window.0) * u128::from(epoch.0) / u128::from(self.epoch.0.max(1));
        self.window = Millis(u64::try_from(window).expect("a window is shorter than its epoch"));
        self.epoch = epoch;
        self
    }

    /// Whether the numbers make sense together; a genesis with others is refused.
    #[must_use]
    pub fn are_sound(&self) -> bool {
        self.slots > 0
            && self.epoch.0 > self.window.0
            && self.window.0 > 0
            && (self.epoch.0 - self.window.0) >= u64::from(self.slots)
            && (1..=64).contains(&self.challenges)
            && self.faulted_after > 0
            && self.vesting <= 7
            && self.burn_ppm <= self.fee_ppm
            && self.fee_ppm <= 1_000_000
            && (1..=self.max_term).contains(&self.min_term)
            && self.min_rate.0 > 0
            && self.collateral_epochs <= self.collateral_most
            && self.existence.0 < 1 << 60
            && self.validator_bond.0 < 1 << 60
            // Otherwise dilution costs too little.
            && (self.profile != Profile::Public || self.burn_ppm >= LEAST_BURN_PPM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_networks_burn_half_a_percent() {
        let public = Params::profile(Profile::Public);
        let less = Params {
            burn_ppm: LEAST_BURN_PPM - 1,
            ..public
        };
        assert!(!less.are_sound());
        let private = Params::profile(Profile::Private);
        assert_eq!((private.burn_ppm, private.are_sound()), (0, true));
    }

    #[test]
    fn collateral_has_a_least_and_a_most() {
        let dev = Params::profile(Profile::Dev);
        let crossed = Params {
            collateral_epochs: dev.collateral_most + 1,
            ..dev
        };
        assert!(!crossed.are_sound());
    }

    #[test]
    fn every_profile_is_sound_and_scales() {
        for profile in [Profile::Dev, Profile::Private, Profile::Public] {
            let params = Params::profile(profile);
            assert!(params.are_sound(), "{profile}");
            assert!(
                params.with_epoch(Millis(8_000)).are_sound(),
                "{profile} scaled"
            );
        }
        assert_eq!(
            Params::profile(Profile::Dev)
                .with_epoch(Millis(8_000))
                .window,
            Millis(4_000)
        );
    }
}
