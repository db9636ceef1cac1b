//! A network of real processes, on loopback or in network namespaces. Dropping a node kills it; if the test itself is killed
//! the kernel does (`LARDER_PARENT`). A node of a failing test shows the end of its log.

use crate::site::Site;
use crate::until::until;
use larder_rpc::client::all;
use larder_rpc::{
    AtParams, BlockHeader, Client, ClientError, Empty, Head, LedgerProvider, NodeInfo, NodeStatus,
    ProviderParams, ProviderStatus, RenterContract, Validators,
};
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How long a node may take until it is ready, or until it has stopped.
const START: Duration = Duration::from_secs(180);
/// How long a command may take.
const COMMAND: Duration = Duration::from_secs(240);
/// How long offers may take to spread, or an account to be known.
const SETTLE: Duration = Duration::from_secs(180);
/// Lines of a log that a failing test shows.
const LOG: usize = 25;

/// The binary beside this test's.
pub(crate) fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its file");
    let profile = test.ancestors().nth(2).expect("it lies in <profile>/deps");
    let binary = profile.join("larder");
    assert!(
        binary.is_file(),
        "{} is not there: run `cargo build -p larder-node` first",
        binary.display()
    );
    binary
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// The objects on stdout: each line is one, with a `message_type`.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let lines = self.out.lines().map(|line| {
            let object: Value = serde_json::from_str(line)
                .unwrap_or_else(|e| panic!("stdout holds {line:?}, which is no JSON: {e}"));
            assert!(object["message_type"].is_string(), "{line}");
            object
        });
        lines.collect()
    }

    /// The last object of a command that succeeded.
    pub(crate) fn done(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        self.last()
    }

    /// The last object, however the command ended.
    pub(crate) fn last(&self) -> Value {
        self.objects().pop().unwrap_or_else(|| panic!("{self:?}"))
    }

    /// The one line that a command which ended with `code` left on stderr.
    pub(crate) fn refused(&self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        let last = self.err.lines().last().unwrap_or_default();
        let object: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{self:?}"));
        assert_eq!(object["message_type"], "exit_error", "{self:?}");
        assert_eq!(object["code"], code, "{self:?}");
        let message = object["message"].as_str().unwrap().to_owned();
        assert!(!message.is_empty() && !message.contains('\n'), "{self:?}");
        message
    }
}

/// Runs `larder --home HOME --json WORDS…` to its end.
pub(crate) fn larder<S: AsRef<OsStr>>(home: &Path, words: &[S]) -> Said {
    Site::default().larder(home, words)
}

pub(crate) fn run(mut command: Command) -> Said {
    let mut out = tempfile::tempfile().unwrap();
    let mut err = tempfile::tempfile().unwrap();
    command
        .env_remove("LARDER_HOME")
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(err.try_clone().unwrap());
    let mut child = Running(command.spawn().unwrap());
    let code = child.end(&format!("{command:?} ends"), COMMAND);
    Said {
        code: code.unwrap_or_else(|| panic!("{command:?} was killed")),
        out: text(&mut out),
        err: text(&mut err),
    }
}

fn text(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

/// A process that does not outlive its handle.
struct Running(Child);

impl Running {
    /// Waits for the end; `None` if a signal brought it.
    fn end(&mut self, what: &str, within: Duration) -> Option<i32> {
        until(what, within, || self.0.try_wait().unwrap()).code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error says that it has ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A node: a home, and its process while it runs.
pub(crate) struct Node {
    pub(crate) home: PathBuf,
    site: Site,
    /// What `up` is given.
    words: Vec<String>,
    /// What the process is started through: a program and its arguments, or nothing.
    through: Vec<OsString>,
    running: Option<Running>,
}

impl Node {
    fn new(home: PathBuf, site: Site, words: &[&str]) -> Self {
        Self {
            home,
            site,
            words: words.iter().map(|w| (*w).to_owned()).collect(),
            through: Vec::new(),
            running: None,
        }
    }

    /// The same node at another site.
    pub(crate) fn at(mut self, site: Site) -> Self {
        self.site = site;
        self
    }

    /// Starts the process through another program, which becomes it by `exec`.
    pub(crate) fn through<S: Into<OsString>>(
        mut self,
        program: impl IntoIterator<Item = S>,
    ) -> Self {
        self.through = program.into_iter().map(Into::into).collect();
        self
    }

    /// Starts the process.
    pub(crate) fn spawn(&mut self) {
        let mut command = self.site.command(&self.through);
        command
            .arg("--home")
            .arg(&self.home)
            .args(["--json", "-v", "up", "--rpc", "127.0.0.1:0"])
            .args(["--listen", &self.site.listen])
            .args(&self.words)
            .env("LARDER_PARENT", std::process::id().to_string())
            .env_remove("LARDER_LOG")
            .stdin(Stdio::null())
            .stdout(File::create(self.home.join("out.log")).unwrap())
            .stderr(File::create(self.home.join("err.log")).unwrap());
        self.running = Some(Running(command.spawn().unwrap()));
    }

    /// Waits until the process says that it is ready.
    pub(crate) fn wait_ready(&mut self) {
        let (home, running) = (self.home.clone(), self.running.as_mut().unwrap());
        let ready = until("a node is ready", START, || {
            let said = fs::read_to_string(home.join("out.log")).unwrap();
            let ended = running.0.try_wait().unwrap();
            match said.lines().next() {
                Some(line) if said.ends_with('\n') => Some(line.to_owned()),
                _ if ended.is_some() => panic!("the node ended: {ended:?}"),
                _ => None,
            }
        });
        let ready: Value = serde_json::from_str(&ready).unwrap();
        assert_eq!(ready["message_type"], "ready");
        assert!(ready["rpc"].as_str().unwrap().starts_with("http://127."));
        assert!(!ready["listen"].as_array().unwrap().is_empty());
    }

    /// Starts the process and waits until it is ready.
    pub(crate) fn start(&mut self) {
        self.spawn();
        self.wait_ready();
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.running = None;
    }

    /// `kill -9`, and its whole home deleted.
    pub(crate) fn destroy(&mut self) {
        self.kill();
        fs::remove_dir_all(&self.home).unwrap();
    }

    /// SIGSTOP: it holds its connections and answers nothing.
    pub(crate) fn freeze(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.running.as_ref().unwrap().0);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// SIGTERM; it must end by itself with exit code 0.
    pub(crate) fn stop(&mut self) {
        self.signal(rustix::process::Signal::TERM);
        let mut running = self.running.take().unwrap();
        assert_eq!(running.end("a node stops on SIGTERM", START), Some(0));
    }

    /// The process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.running.as_ref().unwrap().0.id()
    }

    /// Whether the process is still there.
    pub(crate) fn runs(&mut self) -> bool {
        let running = self.running.as_mut();
        running.is_some_and(|running| running.0.try_wait().unwrap().is_none())
    }

    /// Runs a verb on this home.
    pub(crate) fn larder<S: AsRef<OsStr>>(&self, words: &[S]) -> Said {
        self.site.larder(&self.home, words)
    }

    /// Asks the node over its RPC.
    pub(crate) fn ask<T, F>(&self, ask: impl FnOnce(Client) -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        let client = Client::of_home(&self.home)?;
        // Dropped there, so that the connections end with it.
        self.site.there(move || runtime.block_on(ask(client)))
    }

    pub(crate) fn info(&self) -> NodeInfo {
        self.ask(|node| async move { node.node_info(&Empty {}).await })
            .unwrap()
    }

    pub(crate) fn status(&self) -> NodeStatus {
        self.ask(|node| async move { node.node_status(&Empty {}).await })
            .unwrap()
    }

    /// Who makes blocks, by this node's ledger.
    pub(crate) fn validators(&self) -> Validators {
        self.ask(|node| async move { node.network_validators(&Empty {}).await })
            .unwrap()
    }

    /// The block that this node has at a height.
    pub(crate) fn header(&self, height: u64) -> BlockHeader {
        let at = AtParams {
            at: Some(height.to_string()),
        };
        self.ask(|node| async move { node.chain_get_header(&at).await })
            .unwrap()
    }

    /// The newest block that this node applied.
    pub(crate) fn head(&self) -> Head {
        self.ask(|node| async move { node.chain_head(&Empty {}).await })
            .unwrap()
    }

    /// Waits until this node makes blocks.
    pub(crate) fn votes(&self) {
        until("a validator votes", SETTLE, || {
            let consensus = self.status().consensus;
            (consensus.seated && consensus.votes).then_some(())
        });
    }

    /// What the process has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.join("err.log")).unwrap()
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn ends(&mut self) {
        until("a node ends by itself", START, || {
            (!self.runs()).then_some(())
        });
    }

    /// What this node's ledger holds of a provider.
    pub(crate) fn provider(&self, provider: &NodeInfo) -> LedgerProvider {
        let provider = provider.node;
        self.ask(|node| async move { node.ledger_get_provider(&ProviderParams { provider }).await })
            .unwrap()
    }

    /// What a provider's own side stores.
    pub(crate) fn stores(&self) -> ProviderStatus {
        self.status().provider.unwrap()
    }

    /// The summary of `larder repairs`, whatever it found.
    pub(crate) fn repairs(&self) -> Value {
        self.larder(&["repairs"]).last()
    }

    pub(crate) fn contracts(&self) -> Vec<RenterContract> {
        self.ask(|node| async move {
            let node = &node;
            all(|page| async move { node.renter_list_contracts(&page).await }).await
        })
        .unwrap()
    }

    /// Waits until `provider` passed a challenge in an epoch after `epoch`; gives what the ledger
    /// then says of it. `self` is any node that follows the chain.
    pub(crate) fn proven_after(&self, provider: &NodeInfo, epoch: u32) -> LedgerProvider {
        until("a provider passes a challenge", SETTLE, || {
            let shown = self.provider(provider);
            shown
                .last_passed_epoch
                .is_some_and(|passed| passed > epoch)
                .then_some(shown)
        })
    }

    /// Waits until the ledger shows every contract of this keeper as it was signed last.
    pub(crate) fn settled(&self) -> Vec<RenterContract> {
        until("contracts stand on the ledger", SETTLE, || {
            let contracts = self.contracts();
            let settled = !contracts.is_empty() && contracts.iter().all(|c| c.settled);
            settled.then_some(contracts)
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.home.join("err.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LOG)..];
            eprintln!("--- {}:\n{}", self.home.display(), last.join("\n"));
        }
    }
}

/// A dev network: its founder's node runs, others join.
pub(crate) struct Fleet {
    pub(crate) founder: Node,
    pub(crate) invite: String,
    /// Where nodes are that join.
    pub(crate) site: Site,
    // Last, so that it is removed last.
    dir: TempDir,
}

impl Fleet {
    /// A new network with epochs of this length (`4s`), and its validator running.
    pub(crate) fn found(epoch: &str) -> Self {
        Self::found_at(epoch, Site::default(), Site::default())
    }

    /// The same, a network whose validators agree: the first is running, as yet alone.
    pub(crate) fn found_bft(epoch: &str) -> Self {
        Self::found_bft_at(epoch, Site::default())
    }

    /// The same at `site`.
    pub(crate) fn found_bft_at(epoch: &str, site: Site) -> Self {
        let words = ["--epoch", epoch, "--consensus", "bft"];
        Self::found_by(&words, site.clone(), site)
    }

    /// The same, its validator at `site` and the others at `others`.
    pub(crate) fn found_at(epoch: &str, site: Site, others: Site) -> Self {
        Self::found_by(&["--epoch", epoch], site, others)
    }

    fn found_by(words: &[&str], site: Site, others: Site) -> Self {
        let dir = tempfile::Builder::new().prefix("larder-e2e-").tempdir();
        let dir = dir.unwrap();
        let home = dir.path().join("founder");
        larder(&home, &[&["init", "--new-network"], words].concat()).done();
        let mut founder = Node::new(home, site, &["--validate"]);
        founder.start();
        let invite = founder.larder(&["invite"]).done();
        Self {
            founder,
            invite: invite["invite"].as_str().unwrap().to_owned(),
            site: others,
            dir,
        }
    }

    /// A path of this network's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A home that has joined; nothing runs yet.
    pub(crate) fn join(&self, name: &str, words: &[&str]) -> Node {
        let home = self.path(name);
        larder(&home, &["init", "--join", &self.invite]).done();
        self.at_home(name, words)
    }

    /// A node whose home is made already; nothing runs yet.
    pub(crate) fn at_home(&self, name: &str, words: &[&str]) -> Node {
        Node::new(self.path(name), self.site.clone(), words)
    }

    /// A provider's home; nothing runs yet.
    pub(crate) fn provider(&self, number: usize, quota: &str) -> Node {
        let operator = format!("operator-{number}");
        let words = ["--provide", quota, "--price", "2", "--operator", &operator];
        self.join(&format!("provider-{number}"), &words)
    }

    /// As many providers of 2 GiB, running and ready.
    pub(crate) fn providers(&self, count: usize) -> Vec<Node> {
        let mut providers: Vec<Node> = (1..=count).map(|i| self.provider(i, "2GiB")).collect();
        providers.iter_mut().for_each(Node::spawn);
        providers.iter_mut().for_each(Node::wait_ready);
        providers
    }

    /// Nodes that would validate, one at each of these sites, numbered from `first`: running, and
    /// candidates on the ledger.
    pub(crate) fn candidates(&self, first: usize, sites: &[Site]) -> Vec<Node> {
        let join = |(number, site): (usize, &Site)| {
            let node = self.join(&format!("validator-{number}"), &["--validate"]);
            node.at(site.clone())
        };
        let mut nodes: Vec<Node> = (first..).zip(sites).map(join).collect();
        nodes.iter_mut().for_each(Node::spawn);
        nodes.iter_mut().for_each(Node::wait_ready);
        for node in &nodes {
            let id = node.info().node;
            until("a node is a candidate", SETTLE, || {
                let shown = self.founder.validators();
                shown.candidates.iter().any(|c| c.node == id).then_some(())
            });
        }
        nodes
    }

    /// As many validators beside the founder, each taken in by those before it.
    pub(crate) fn validators(&self, count: usize) -> Vec<Node> {
        self.validators_at(&vec![self.site.clone(); count])
    }

    /// The same, one at each of these sites.
    pub(crate) fn validators_at(&self, sites: &[Site]) -> Vec<Node> {
        let candidates = self.candidates(2, sites);
        for (before, candidate) in candidates.iter().enumerate() {
            let peer = candidate.info().peer_id;
            for voter in std::iter::once(&self.founder).chain(&candidates[..before]) {
                if voter.larder(&["network", "add-validator", &peer]).done()["acted"] == true {
                    break;
                }
            }
            candidate.votes();
        }
        candidates
    }

    /// A keeper, running.
    pub(crate) fn keeper(&self) -> Node {
        let mut keeper = self.join("keeper", &[]);
        keeper.start();
        keeper
    }

    /// A keeper, running, and the file that holds its words.
    pub(crate) fn keeper_with_words(&self) -> (Node, PathBuf) {
        let home = self.path("keeper");
        let made = larder(&home, &["init", "--join", &self.invite]).done();
        let words = self.path("words");
        fs::write(&words, made["words"].as_str().unwrap()).unwrap();
        let mut keeper = self.at_home("keeper", &[]);
        keeper.start();
        (keeper, words)
    }
}

/// Waits until `keeper` knows this many offers and holds credit.
pub(crate) fn offered(keeper: &Node, offers: usize) {
    until(
        "the keeper knows the offers and holds credit",
        SETTLE,
        || {
            let status = keeper.status();
            let known = usize::try_from(status.offers).unwrap();
            let enough = known >= offers && status.ready && status.balance.0.nano() > 0;
            enough.then_some(())
        },
    );
}
