//! The demo's processes: this very binary as `larder up`, each with a home of its own. Dropping
//! the fleet kills them; if the demo itself is killed the kernel does (`LARDER_PARENT`).

use super::usage::Usage;
use crate::cli::{Failure, PARENT};
use larder_rpc::{Client, NodeInfo};
use serde::Deserialize;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a node may take until it is ready.
const READY: Duration = Duration::from_secs(60);
/// How often a starting node is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// One node of the demo.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) home: PathBuf,
    pub(super) client: Client,
    /// Where its RPC listens.
    pub(super) rpc: String,
    pub(super) info: NodeInfo,
    child: Running,
}

impl Node {
    /// What it has used so far.
    pub(super) fn usage(&self) -> Usage {
        Usage::of(self.child.0.id())
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Refuses to go on if the node has ended.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        match self.child.0.try_wait()? {
            None => Ok(()),
            Some(status) => Err(ended(&self.name, &self.home, &status.to_string())),
        }
    }

    /// Lets the process live on after this one.
    pub(super) fn leave(mut self) {
        self.child.1 = Fate::Left;
    }
}

/// What becomes of a process when its handle is dropped.
#[derive(PartialEq, Eq)]
enum Fate {
    Killed,
    Left,
}

struct Running(Child, Fate);

impl Drop for Running {
    fn drop(&mut self) {
        if self.1 == Fate::Killed {
            // An error says that it has ended already; waiting takes it out of the table.
            self.0.kill().ok();
            self.0.wait().ok();
        }
    }
}

/// Starts nodes in folders below one.
pub(super) struct Yard {
    binary: PathBuf,
    dir: PathBuf,
    keep: bool,
}

/// The line of `larder up --json` that we wait for.
#[derive(Deserialize)]
struct ReadyLine {
    message_type: String,
    rpc: String,
}

/// A process that was started and has yet to say that it is ready.
pub(super) struct Starting {
    name: String,
    home: PathBuf,
    child: Running,
    since: Instant,
}

impl Yard {
    pub(super) fn new(dir: &Path, keep: bool) -> Result<Self, Failure> {
        Ok(Self {
            binary: std::env::current_exe()?,
            dir: dir.to_owned(),
            keep,
        })
    }

    /// Makes a home: `larder init` with these words.
    pub(super) fn init(&self, name: &str, words: &[&str]) -> Result<(), Failure> {
        let output = Command::new(&self.binary)
            .arg("--home")
            .arg(self.dir.join(name))
            .arg("init")
            .args(words)
            .stdin(Stdio::null())
            .output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Failure::new(
            1,
            format_args!("{name}: `larder init` failed: {said}"),
        ))
    }

    /// Starts a node: `larder up` with these words, any ports, on loopback.
    pub(super) fn up(&self, name: &str, words: &[&str]) -> Result<Starting, Failure> {
        let home = self.dir.join(name);
        let mut command = Command::new(&self.binary);
        command
            .arg("--home")
            .arg(&home)
            .args(["--json", "up", "--rpc", "127.0.0.1:0"])
            .args(["--listen", "/ip4/127.0.0.1/tcp/0"])
            .args(["--listen", "/ip4/127.0.0.1/udp/0/quic-v1"])
            .args(words)
            .stdin(Stdio::null())
            .stdout(File::create(home.join("out.log"))?)
            .stderr(File::create(home.join("err.log"))?)
            // Ctrl-C is for the demo, which then ends its nodes in its own way.
            .process_group(0);
        if !self.keep {
            command.env(PARENT, std::process::id().to_string());
        }
        Ok(Starting {
            name: name.to_owned(),
            home,
            child: Running(command.spawn()?, Fate::Killed),
            since: Instant::now(),
        })
    }
}

impl Starting {
    /// Waits until the node says that it is ready.
    pub(super) async fn ready(mut self) -> Result<Node, Failure> {
        let rpc = loop {
            if let Some(rpc) = ready_line(&self.home)? {
                break rpc;
            }
            if let Some(status) = self.child.0.try_wait()? {
                return Err(ended(&self.name, &self.home, &status.to_string()));
            }
            if self.since.elapsed() > READY {
                return Err(ended(&self.name, &self.home, "not ready after 60 s"));
            }
            tokio::time::sleep(LOOK).await;
        };
        let client = Client::of_home(&self.home)?;
        let info = client.node_info(&larder_rpc::Empty {}).await?;
        Ok(Node {
            name: self.name,
            home: self.home,
            client,
            rpc,
            info,
            child: self.child,
        })
    }
}

/// Where the node in `home` says that its RPC listens, once it is ready.
fn ready_line(home: &Path) -> io::Result<Option<String>> {
    let said = fs::read_to_string(home.join("out.log"))?;
    Ok(said
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .filter_map(|line| serde_json::from_str::<ReadyLine>(line).ok())
        .find(|line| line.message_type == "ready")
        .map(|line| line.rpc))
}

fn ended(name: &str, home: &Path, how: &str) -> Failure {
    let said = fs::read_to_string(home.join("err.log")).unwrap_or_default();
    let last = said.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("");
    Failure::new(1, format_args!("{name} ended ({how}): {last}"))
}
