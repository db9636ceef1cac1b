//! Parameters and results of the methods, one file an area. They are separate from the domain's
//! types: changing those must not silently change what programs read.

pub mod backup;
pub mod job;
pub mod ledger;
pub mod market;
pub mod node;
pub mod wallet;

pub use backup::*;
pub use job::*;
pub use ledger::*;
pub use market::*;
pub use node::*;
pub use wallet::*;
