//! What renter and provider agree on, as pure functions that both sides run: signed offers, the
//! one price formula, contract drafts, revisions and their refusals. `docs/protocol.md` §3.3, §3.10.

#![deny(clippy::float_arithmetic)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub mod draft;
pub mod judge;
pub mod life;
pub mod lose;
pub mod offer;
pub mod pact;
pub mod rate;
pub mod refusal;
pub mod revise;
pub mod signed;
pub mod voucher;

pub use draft::{Draft, contract_id, is_bound};
pub use judge::{Room, judge};
pub use lose::{Remains, lose};
pub use offer::{Offer, OfferRefusal, SignedOffer};
pub use pact::{Gift, Pact, Party};
pub use rate::rate;
pub use refusal::Refusal;
pub use revise::{clear, extend, renewed, revise, same_money};
pub use signed::{Auth, Revision, ShardAck, SignedLeaf, bare};
pub use voucher::{Tally, Voucher, egress};
