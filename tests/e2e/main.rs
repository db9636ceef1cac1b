//! Black-box tests: real `larder` processes on loopback, each with a home of its own, real SQLite,
//! ended by signals. Nothing sleeps for a fixed time: what is waited for has a deadline.
#![allow(
    clippy::unwrap_used,
    reason = "a test says what failed by where it failed"
)]
#![allow(
    clippy::print_stderr,
    reason = "the harness shows it with a test that failed"
)]

mod abuse;
mod by_hand;
mod clients;
mod clock;
mod damage;
mod devices;
mod examples;
mod fleet;
mod folder;
mod foreign;
mod friends;
mod full_disk;
mod full_home;
mod garbage;
mod health;
mod honest_trouble;
mod in_part;
mod keeper_killed;
mod keeper_killed_anywhere;
mod keeper_killed_mid_repair;
mod keys;
mod limit;
mod losses;
mod mount;
mod nasty;
mod policies;
mod provider_killed;
mod refusals;
mod renting;
mod repair_and_recover;
mod restore_damage;
mod retention;
mod rot;
mod schedules;
mod seven;
mod sharing;
mod simulation;
mod site;
mod soak;
mod split;
mod stolen;
mod until;
mod upkeep;
mod validators;
mod verify;
mod volumes;
mod wallets;
mod wires;
