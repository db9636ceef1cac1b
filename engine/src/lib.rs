//! One node's behaviour, as a pure state machine: `Input → Effects`. What to store where, what to
//! post, what to prove, what to pay: decided here; files, sockets and clocks are the shell's.
//!
//! See [`Engine::step`]; [`io`] lists what goes in and comes out.

pub mod alerts;
mod bucket;
mod ctx;
pub mod durability;
mod engine;
pub mod friends;
pub mod handing;
pub mod head;
pub mod io;
mod ops;
pub mod placement;
pub mod policy;
mod provider;
pub mod quote;
pub mod rank;
mod renter;
pub mod report;
mod risk;
pub mod rota;
pub mod rows;
pub mod sample;
pub mod seating;
pub mod share;
pub mod spending;
pub mod standing;
pub mod survival;
pub mod timing;
#[cfg(test)]
mod town;
pub mod view;
mod wallet;
pub mod whatif;
pub mod wire;

pub use ctx::Identity;
pub use engine::Engine;
pub use io::{
    Command, DeviceCommand, Effect, FriendsCommand, Input, Job, Notice, OpId, Outcome, PeerInput,
    ProviderCommand, Token,
};
pub use provider::{Disks, Provide, Taking};
pub use renter::NoRoom;
pub use renter::reducing::{Dropping, ToReduce};
pub use renter::renting::RentRefusal;
pub use rows::VolumeId;
pub use wallet::{SendRefusal, TxEnd};
