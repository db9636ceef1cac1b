//! Where a node runs: on this machine's network, or in a network namespace. A thread of the test that asks
//! such a node is in that namespace for as long as it asks.

use crate::fleet::{Said, binary, run};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a node and its commands run, and where it listens.
#[derive(Clone)]
pub(crate) struct Site {
    /// The network namespace, as a link that can be opened; `None`: this process's own.
    pub(crate) network: Option<PathBuf>,
    /// A multiaddr.
    pub(crate) listen: String,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            network: None,
            listen: "/ip4/127.0.0.1/tcp/0".to_owned(),
        }
    }
}

impl Site {
    /// Runs `larder --home HOME --json WORDS…` there to its end.
    pub(crate) fn larder<S: AsRef<OsStr>>(&self, home: &Path, words: &[S]) -> Said {
        let mut command = self.command(&[]);
        command.arg("--home").arg(home).arg("--json").args(words);
        run(command)
    }

    /// Has this thread do something in the site's network.
    pub(crate) fn there<T>(&self, act: impl FnOnce() -> T) -> T {
        let _visit = self.network.as_deref().map(Visit::to);
        act()
    }

    /// Our program there, started through another, which becomes it by `exec`; or through nothing.
    pub(crate) fn command(&self, through: &[OsString]) -> Command {
        let mut line = self.network.as_deref().map_or_else(Vec::new, within);
        line.extend_from_slice(through);
        line.push(binary().into());
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]);
        command
    }
}

/// What becomes a program in a namespace.
pub(crate) fn within(network: &Path) -> Vec<OsString> {
    let mut net = OsString::from("--net=");
    net.push(network);
    vec!["nsenter".into(), net]
}

/// This thread is in another network namespace; dropped, it goes back to its own.
struct Visit(File);

impl Visit {
    fn to(network: &Path) -> Self {
        let own = File::open("/proc/thread-self/ns/net").unwrap();
        enter(&File::open(network).unwrap());
        Self(own)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        enter(&self.0);
    }
}

fn enter(network: &File) {
    let kind = Some(rustix::thread::LinkNameSpaceType::Network);
    rustix::thread::move_into_link_name_space(network.as_fd(), kind).unwrap();
}
