//! A network that is cut in two and healed. Each side is a network namespace; the cut is a link that
//! goes down. Nobody loses anything by it, so nothing is rebuilt and every contract stands.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, Site};
use crate::folder::{plain, same};
use crate::losses::{count, restore};
use crate::until::until;
use serde_json::Value;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Epochs that a cut lasts.
const CUT: u64 = 10;
/// How long what is awaited here may take.
const WITHIN: Duration = Duration::from_secs(60);

/// A network namespace; it is gone when its holder and all in it are.
struct Space {
    holder: Child,
    address: String,
}

impl Space {
    fn new(address: &str) -> Option<Self> {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "unshare", "--net", "sleep", "600"])
            .stdin(Stdio::null());
        let holder = command.spawn().ok()?;
        let space = Self {
            holder,
            address: address.to_owned(),
        };
        let own = std::fs::read_link("/proc/self/ns/net").ok()?;
        let theirs = format!("/proc/{}/ns/net", space.holder.id());
        // Until `unshare` has run, the holder is in our own.
        until("a namespace is there", Duration::from_secs(10), || {
            let seen = std::fs::read_link(&theirs);
            let (ended, seen) = (seen.is_err(), seen.ok());
            (ended || seen.is_some_and(|s| s != own)).then_some(())
        });
        space.ip("link set lo up").then_some(space)
    }

    /// What becomes a program in this namespace.
    fn within(&self) -> Vec<String> {
        let pid = self.holder.id().to_string();
        ["nsenter", "--target", &pid, "--net"]
            .map(str::to_owned)
            .to_vec()
    }

    /// Runs `ip` there; whether it succeeded.
    fn ip(&self, words: &str) -> bool {
        let within = self.within();
        let mut command = Command::new(&within[0]);
        command
            .args(&within[1..])
            .arg("ip")
            .args(words.split_whitespace());
        command.output().is_ok_and(|said| said.status.success())
    }

    fn site(&self) -> Site {
        Site {
            within: self.within().into_iter().map(Into::into).collect(),
            listen: format!("/ip4/{}/tcp/0", self.address),
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // An error says that it has ended already.
        self.holder.kill().ok();
        self.holder.wait().ok();
    }
}

/// Three namespaces: a bridge with the providers, and at one cable each the validator and the
/// keeper.
struct Wires {
    hub: Space,
    validator: Space,
    keeper: Space,
}

impl Wires {
    /// `None` where this machine does not let us; some containers forbid it, and nothing else cuts
    /// a network.
    fn lay() -> Option<Self> {
        let wires = rustix::process::geteuid()
            .is_root()
            .then(|| {
                Some(Self {
                    hub: Space::new("10.77.0.1")?,
                    validator: Space::new("10.77.0.2")?,
                    keeper: Space::new("10.77.0.3")?,
                })
            })
            .flatten();
        let laid = wires.filter(|w| {
            let hub = &w.hub;
            hub.ip("link add bridge0 type bridge")
                && hub.ip("addr add 10.77.0.1/24 dev bridge0")
                && hub.ip("link set bridge0 up")
                && w.plug("validator", &w.validator)
                && w.plug("keeper", &w.keeper)
        });
        if laid.is_none() {
            eprintln!("this machine forbids network namespaces: splits are not tested");
        }
        laid
    }

    fn plug(&self, cable: &str, space: &Space) -> bool {
        let (pid, address) = (space.holder.id(), &space.address);
        self.hub.ip(&format!(
            "link add {cable} type veth peer name eth0 netns {pid}"
        )) && self.hub.ip(&format!("link set {cable} master bridge0 up"))
            && space.ip(&format!("addr add {address}/24 dev eth0"))
            && space.ip("link set eth0 up")
    }

    fn cut(&self, cable: &str) {
        assert!(self.hub.ip(&format!("link set {cable} down")));
    }

    fn heal(&self, cable: &str) {
        assert!(self.hub.ip(&format!("link set {cable} up")));
    }
}

#[test]
fn a_split_costs_no_shard_and_no_contract() {
    let Some(wires) = Wires::lay() else { return };
    let fleet = Fleet::found_at("2s", wires.validator.site(), wires.hub.site());
    let mut providers: Vec<Node> = (1..=4).map(|i| fleet.provider(i, "2GiB")).collect();
    providers.iter_mut().for_each(Node::spawn);
    providers.iter_mut().for_each(Node::wait_ready);
    let mut keeper = fleet.join("keeper", &[]).at(wires.keeper.site());
    keeper.start();
    until("the keeper knows the offers and can pay", WITHIN, || {
        let status = status(&keeper);
        (status["offers"] == 4 && status["balance"] != "0").then_some(())
    });
    let folder = fleet.path("folder");
    plain(&folder, 4);
    saved(&keeper.larder(&["backup", folder.to_str().unwrap()]));
    let before = settled(&keeper);
    let passed = passed(&providers);

    // The keeper alone: it sees no block, so it knows of no loss.
    wires.cut("keeper");
    let epoch = count(&status(&fleet.founder), "epoch");
    until("ten epochs pass without the keeper", WITHIN, || {
        (count(&status(&fleet.founder), "epoch") >= epoch + CUT).then_some(())
    });
    unharmed(&keeper);
    wires.heal("keeper");
    caught_up(&fleet.founder, &keeper);
    unharmed(&keeper);

    // The validator alone: no proof reaches it, and an epoch in which nobody passed strikes nobody.
    wires.cut("validator");
    let epoch = count(&status(&fleet.founder), "epoch");
    until("ten epochs pass without the validator", WITHIN, || {
        (count(&status(&fleet.founder), "epoch") >= epoch + CUT).then_some(())
    });
    wires.heal("validator");
    caught_up(&fleet.founder, &keeper);
    until("providers pass again", WITHIN, || {
        let now = self::passed(&providers);
        let mut both = now.iter().zip(&passed);
        both.all(|(now, was)| *was == 0 || now > was).then_some(())
    });
    unharmed(&keeper);
    let after = settled(&keeper);
    assert_eq!(names(&after), names(&before), "every contract stands");
    restore(&keeper, &fleet.path("back"));
    same(&folder, &fleet.path("back"));
}

fn status(node: &Node) -> Value {
    node.larder(&["status"]).done()
}

/// The keeper is at the chain's newest block, or was a moment ago.
fn caught_up(validator: &Node, keeper: &Node) {
    let wanted = count(&status(validator), "height");
    until("the keeper has caught up", WITHIN, || {
        (count(&status(keeper), "height") >= wanted).then_some(())
    });
}

/// Challenges that each provider has passed.
fn passed(providers: &[Node]) -> Vec<u64> {
    let one = |p: &Node| count(&status(p)["provider"], "passed");
    providers.iter().map(one).collect()
}

/// All is whole, and nothing had to be rebuilt for that.
fn unharmed(keeper: &Node) {
    let repairs = keeper.larder(&["repairs"]).done();
    assert_eq!(repairs["full_redundancy"], true, "{repairs}");
    assert_eq!(repairs["shards_repaired"], 0, "{repairs}");
}

/// The keeper's contracts, once the ledger shows them as they were signed last.
fn settled(keeper: &Node) -> Vec<Value> {
    until("contracts stand on the ledger", WITHIN, || {
        let contracts = keeper.larder(&["contracts"]).objects();
        let settled = contracts.iter().all(|c| c["settled"] == true);
        (settled && !contracts.is_empty()).then_some(contracts)
    })
}

/// What a contract is, and what it holds.
fn names(contracts: &[Value]) -> Vec<(&Value, &Value)> {
    contracts
        .iter()
        .map(|c| (&c["contract"], &c["used"]))
        .collect()
}
