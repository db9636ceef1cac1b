//! From the command line to the node of a home: check that the home is one, find its node, ask
//! within a small runtime.

use super::args::UnlockArgs;
use super::exit::{FAILED, Failure, NO_HOME};
use super::words;
use crate::home::Home;
use larder_rpc::Client;
use std::future::Future;
use std::path::Path;
use tokio::runtime::{Builder, Runtime};

/// What a verb's conversation with the node comes to.
pub(crate) type Asked = Result<(), Failure>;

/// Refuses a folder that `larder init` did not make.
pub(crate) fn require_home(home: &Path) -> Result<(), Failure> {
    if home.join("config.toml").is_file() {
        return Ok(());
    }
    Err(Failure::new(
        NO_HOME,
        format_args!(
            "no Larder home at {}: make one with `larder init`, or name another with --home",
            home.display()
        ),
    ))
}

/// Opens a home for this process, with a passphrase if it is sealed.
pub(super) fn open_home(home: &Path, unlock: &UnlockArgs) -> Result<Home, Failure> {
    require_home(home)?;
    let passphrase = words::of_home(home, unlock)?;
    Home::open(home, words::shown(passphrase.as_ref())).map_err(|e| Failure::new(e.exit_code(), e))
}

/// A runtime on this thread: a client waits far more than it works.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(FAILED, format_args!("cannot start the async runtime: {e}")))
}

/// Runs a conversation with the node of `home`.
pub(crate) fn ask<F: Future<Output = Asked>>(home: &Path, talk: impl FnOnce(Client) -> F) -> Asked {
    require_home(home)?;
    let client = Client::of_home(home)?;
    runtime()?.block_on(talk(client))
}
