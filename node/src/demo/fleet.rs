//! The demo's processes: this very binary as `larder up`, each with a home of its own, their logs in
//! one folder beside the homes. Dropping the fleet kills them; if the demo itself is killed the
//! kernel does (`LARDER_PARENT`).

use super::usage::Usage;
use crate::cli::{Failure, PARENT};
use larder_rpc::{Client, NodeInfo};
use serde::Deserialize;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// The folder of all logs, below the demo's.
pub(super) const LOGS: &str = "logs";
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
    logs: Logs,
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
            Some(status) => Err(ended(&self.name, &self.logs, &status.to_string())),
        }
    }

    /// `kill -9`. Gives what it had used.
    ///
    /// # Errors
    /// If it had ended before: whoever ends by itself is not ours to kill.
    pub(super) fn kill(&mut self) -> Result<Usage, Failure> {
        self.check()?;
        let usage = self.usage();
        self.child.0.kill()?;
        self.child.0.wait()?;
        Ok(usage)
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

/// Where a node's output goes.
#[derive(Clone)]
struct Logs {
    out: PathBuf,
    err: PathBuf,
}

/// Starts nodes in folders below one.
pub(super) struct Yard {
    binary: PathBuf,
    dir: PathBuf,
    keep: bool,
}

/// The line of `larder init --json` that we read.
#[derive(Deserialize)]
struct InitLine {
    words: String,
}

/// How a command says why it failed.
#[derive(Deserialize)]
struct ExitLine {
    message: String,
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
    logs: Logs,
    child: Running,
    since: Instant,
}

impl Yard {
    pub(super) fn new(dir: &Path, keep: bool) -> Result<Self, Failure> {
        fs::create_dir_all(dir.join(LOGS))?;
        Ok(Self {
            binary: std::env::current_exe()?,
            dir: dir.to_owned(),
            keep,
        })
    }

    /// A path in the demo's folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Makes a home: `larder init` with these words. Gives the account's twenty-four words.
    pub(super) fn init(&self, name: &str, words: &[&str]) -> Result<Zeroizing<String>, Failure> {
        let output = self
            .verb(name, "init", words)
            .output()
            .map(|output| (output.status, Zeroizing::new(output.stdout), output.stderr));
        let (status, said, error) = output?;
        if !status.success() {
            return Err(failed(name, "init", &error));
        }
        serde_json::from_slice(&said)
            .map(|line: InitLine| Zeroizing::new(line.words))
            .map_err(|e| Failure::new(1, format_args!("{name}: `larder init` said {e}")))
    }

    /// Runs `larder recover` with these words to its end.
    pub(super) async fn recover<S: AsRef<OsStr>>(
        &self,
        name: &str,
        words: &[S],
        within: Duration,
    ) -> Result<(), Failure> {
        let mut command = tokio::process::Command::from(self.verb(name, "recover", words));
        let done = tokio::time::timeout(within, command.kill_on_drop(true).output()).await;
        let output = done.map_err(|_| {
            let span = within.as_secs();
            Failure::new(
                1,
                format_args!("{name}: `larder recover` took over {span} s"),
            )
        })??;
        let mut log = append(&self.logs(name).err)?;
        io::Write::write_all(&mut log, &output.stderr)?;
        if output.status.success() {
            Ok(())
        } else {
            Err(failed(name, "recover", &output.stderr))
        }
    }

    fn verb<S: AsRef<OsStr>>(&self, name: &str, verb: &str, words: &[S]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .arg("--home")
            .arg(self.path(name))
            .args(["--json", verb])
            .args(words)
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    fn logs(&self, name: &str) -> Logs {
        let at = |kind| self.path(LOGS).join(format!("{name}.{kind}.log"));
        Logs {
            out: at("out"),
            err: at("err"),
        }
    }

    /// Starts a node: `larder up` with these words, any ports, on loopback.
    pub(super) fn up(&self, name: &str, words: &[&str]) -> Result<Starting, Failure> {
        let (home, logs) = (self.path(name), self.logs(name));
        let mut command = Command::new(&self.binary);
        command
            .arg("--home")
            .arg(&home)
            .args(["--json", "up", "--rpc", "127.0.0.1:0"])
            .args(["--listen", "/ip4/127.0.0.1/tcp/0"])
            .args(["--listen", "/ip4/127.0.0.1/udp/0/quic-v1"])
            .args(words)
            .stdin(Stdio::null())
            .stdout(File::create(&logs.out)?)
            .stderr(append(&logs.err)?)
            // Ctrl-C is for the demo, which then ends its nodes in its own way.
            .process_group(0);
        if !self.keep {
            command.env(PARENT, std::process::id().to_string());
        }
        Ok(Starting {
            name: name.to_owned(),
            home,
            logs,
            child: Running(command.spawn()?, Fate::Killed),
            since: Instant::now(),
        })
    }
}

impl Starting {
    /// Waits until the node says that it is ready.
    pub(super) async fn ready(mut self) -> Result<Node, Failure> {
        let rpc = loop {
            if let Some(rpc) = ready_line(&self.logs.out)? {
                break rpc;
            }
            if let Some(status) = self.child.0.try_wait()? {
                return Err(ended(&self.name, &self.logs, &status.to_string()));
            }
            if self.since.elapsed() > READY {
                return Err(ended(&self.name, &self.logs, "not ready after 60 s"));
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
            logs: self.logs,
            child: self.child,
        })
    }
}

/// Where a node says that its RPC listens, once it is ready.
fn ready_line(log: &Path) -> io::Result<Option<String>> {
    let said = fs::read_to_string(log)?;
    Ok(said
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .filter_map(|line| serde_json::from_str::<ReadyLine>(line).ok())
        .find(|line| line.message_type == "ready")
        .map(|line| line.rpc))
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn ended(name: &str, logs: &Logs, how: &str) -> Failure {
    let said = fs::read_to_string(&logs.err).unwrap_or_default();
    let why = match last(&said) {
        "" => String::new(),
        last => format!(": {last}"),
    };
    Failure::new(1, format_args!("{name} ended ({how}){why}"))
}

fn failed(name: &str, verb: &str, said: &[u8]) -> Failure {
    let said = String::from_utf8_lossy(said);
    let why = serde_json::from_str(last(&said))
        .map_or_else(|_| last(&said).to_owned(), |line: ExitLine| line.message);
    Failure::new(1, format_args!("{name}: `larder {verb}` failed: {why}"))
}

/// The last line that says something.
fn last(said: &str) -> &str {
    said.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("")
}
