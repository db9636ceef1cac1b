//! Reads the command line, does what it says, ends with the exit code.

use super::args::{Cli, Command, LookCommand, PolicyCommand};
use super::exit::{FAILED, Failure};
use super::output::Out;
use super::{
    backup, call, cost, device, doctor, dump, friend, health, init, key, listing, look, market,
    mount, network, offer, policy, recover, repairs, restore, retention, schedule, share, simulate,
    status, texts, token, up, upkeep, volume, wallet,
};
use clap::Parser as _;
use etcetera::BaseStrategy as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Does what the process's arguments say.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let out = Out {
        json: cli.json,
        quiet: cli.quiet,
        verbose: cli.verbose,
    };
    match home(cli.home).and_then(|home| obey(cli.command, home, out)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            out.failed(&failure);
            ExitCode::from(failure.exit)
        }
    }
}

/// The home: as given, else in the folder for user data.
fn home(given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    if let Some(home) = given {
        return Ok(std::path::absolute(home)?);
    }
    etcetera::choose_base_strategy()
        .map(|base| base.data_dir().join("larder"))
        .map_err(|_| {
            Failure::new(
                FAILED,
                "cannot tell where your data folder is: name a home with --home",
            )
        })
}

fn obey(command: Command, home: PathBuf, out: Out) -> Result<(), Failure> {
    match command {
        Command::Init(args) => init::init(&home, args, out),
        Command::Recover(args) => recover::recover(&home, args, out),
        Command::Up(args) => up::up(&home, args, out),
        Command::Invite => status::invite(&home, out),
        Command::Status => status::status(&home, out),
        Command::Doctor => doctor::doctor(&home, out),
        Command::Backup(args) => backup::backup(&home, args, out),
        Command::Snapshots(args) => listing::snapshots(&home, &args, out),
        Command::Ls(args) => listing::ls(&home, &args, out),
        Command::Restore(args) => restore::restore(&home, args, out),
        Command::Key(command) => key::key(&home, command, out),
        Command::Wallet(command) => wallet::wallet(&home, command, out),
        Command::Offer(args) => offer::offer(&home, args.command, out),
        Command::Network(command) => network::network(&home, command, out),
        Command::Volume(command) => volume::volume(&home, command, out),
        Command::Friend(command) => friend::run(&home, command, out),
        Command::Device(command) => device::run(&home, command, out),
        Command::Offers => market::offers(&home, out),
        Command::Peers => status::peers(&home, out),
        Command::Contracts(args) => market::contracts(&home, args.command, out),
        Command::Repairs => repairs::repairs(&home, out),
        Command::Token(command) => token::token(&home, command, out),
        Command::Call(args) => call::call(&home, args, out),
        Command::Retention(command) => retention::retention(&home, command, out),
        Command::Look(command) => obey_look(command, &home, out),
        Command::Policy(command) => obey_policy(command, &home, out),
        Command::Share(verb) => share::verb(&home, verb, out),
        Command::Simulate(command) => simulate::simulate(command, out),
        Command::Demo(args) => crate::demo::demo(args, out),
        Command::Completions { shell } => texts::completions(shell, out),
        Command::Man { dir } => texts::man(dir.as_deref(), out),
        Command::Version => texts::version(out),
    }
}

fn obey_look(command: LookCommand, home: &Path, out: Out) -> Result<(), Failure> {
    match command {
        LookCommand::Alerts => upkeep::alerts(home, out),
        LookCommand::Config(args) => upkeep::config(home, args.command, out),
        LookCommand::Find(args) => look::find(home, args, out),
        LookCommand::Diff(args) => look::diff(home, args, out),
        LookCommand::Check(args) if args.read_data || args.read_data_subset.is_some() => {
            health::read_data(home, args.read_data_subset, out)
        }
        LookCommand::Check(_) => look::check(home, out),
        LookCommand::Repair => health::repair(home, out),
        LookCommand::Drill(args) => health::drill(home, args, out),
        LookCommand::Stats(args) => look::stats(home, args, out),
        LookCommand::Dump { what } => dump::dump(home, &what, out),
        LookCommand::Mount(args) => mount::mount(home, &args, out),
        LookCommand::Quote(args) => cost::quote(home, args, out),
    }
}

fn obey_policy(command: PolicyCommand, home: &Path, out: Out) -> Result<(), Failure> {
    match command {
        PolicyCommand::Class(command) => policy::class(home, command, out),
        PolicyCommand::Exclude(command) => policy::exclude(home, command, out),
        PolicyCommand::Schedule(command) => schedule::schedule(home, command, out),
    }
}
