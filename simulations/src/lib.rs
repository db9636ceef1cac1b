//! Whole networks in one thread: the production engine and ledger under a virtual clock, from one
//! seed. The same seed gives the same run, down to the hash of its trace. STYLE, *Simulation*.

mod adversaries;
mod adversary;
mod chain;
mod checkers;
mod churn;
mod dice;
mod disk;
mod faults;
mod jobs;
mod keeper;
mod net;
mod node;
mod queue;
pub mod report;
mod run;
mod setup;
mod trace;
mod uptime;
mod weather;
mod world;

pub use adversary::{Adversary, Thefts};
pub use checkers::purse::Account;
pub use report::{Checker, Report};
pub use run::{Options, Progress, Scenario, run};

#[cfg(test)]
mod expected_value;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trouble;
