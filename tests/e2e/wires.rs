//! Networks that can be cut: each side is a network namespace, the cut is a link that goes down.

use crate::site::{Site, within};
use crate::until::until;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A network namespace; it is gone when its holder and all in it are.
struct Space {
    holder: Child,
    address: String,
}

impl Space {
    fn new(address: &str) -> Option<Self> {
        let mut command = Command::new("setpriv");
        command
            .args([
                "--pdeathsig",
                "KILL",
                "unshare",
                "--net",
                "sleep",
                "infinity",
            ])
            .stdin(Stdio::null());
        let holder = command.spawn().ok()?;
        let space = Self {
            holder,
            address: address.to_owned(),
        };
        let own = std::fs::read_link("/proc/self/ns/net").ok()?;
        let theirs = space.network();
        // Until `unshare` has run, the holder is in our own.
        until("a namespace is there", Duration::from_secs(180), || {
            let seen = std::fs::read_link(&theirs);
            let (ended, seen) = (seen.is_err(), seen.ok());
            (ended || seen.is_some_and(|s| s != own)).then_some(())
        });
        space.ip("link set lo up").then_some(space)
    }

    fn network(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.holder.id()).into()
    }

    /// Runs `ip` there; whether it succeeded.
    fn ip(&self, words: &str) -> bool {
        let within = within(&self.network());
        let mut command = Command::new(&within[0]);
        command
            .args(&within[1..])
            .arg("ip")
            .args(words.split_whitespace());
        command.output().is_ok_and(|said| said.status.success())
    }

    fn site(&self) -> Site {
        Site {
            network: Some(self.network()),
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

/// A bridge in a namespace of its own, and at a cable each as many namespaces as have a name.
pub(crate) struct Wires {
    hub: Space,
    ends: Vec<(String, Space)>,
}

impl Wires {
    /// `None` where this machine does not let us; some containers forbid it, and nothing else cuts
    /// a network.
    pub(crate) fn lay(cables: &[&str]) -> Option<Self> {
        let is_root = rustix::process::geteuid().is_root();
        let laid = is_root.then(|| Self::try_lay(cables)).flatten();
        if laid.is_none() {
            eprintln!(
                "this machine forbids network namespaces: nothing that needs a cut is tested"
            );
        }
        laid
    }

    fn try_lay(cables: &[&str]) -> Option<Self> {
        let hub = Space::new("10.77.0.1")?;
        let ready = hub.ip("link add bridge0 type bridge")
            && hub.ip("addr add 10.77.0.1/24 dev bridge0")
            && hub.ip("link set bridge0 up");
        let mut wires = ready.then_some(Self {
            hub,
            ends: Vec::new(),
        })?;
        for (number, cable) in (2..).zip(cables) {
            let end = Space::new(&format!("10.77.0.{number}"))?;
            wires.plug(cable, &end).then_some(())?;
            wires.ends.push(((*cable).to_owned(), end));
        }
        Some(wires)
    }

    fn plug(&self, cable: &str, space: &Space) -> bool {
        let (pid, address) = (space.holder.id(), &space.address);
        self.hub.ip(&format!(
            "link add {cable} type veth peer name eth0 netns {pid}"
        )) && self.hub.ip(&format!("link set {cable} master bridge0 up"))
            && space.ip(&format!("addr add {address}/24 dev eth0"))
            && space.ip("link set eth0 up")
    }

    /// Where nodes are that no cable cuts off from each other.
    pub(crate) fn hub(&self) -> Site {
        self.hub.site()
    }

    /// Where nodes are at the end of a cable.
    pub(crate) fn end(&self, cable: &str) -> Site {
        self.space(cable).site()
    }

    fn space(&self, cable: &str) -> &Space {
        let end = self.ends.iter().find(|(name, _)| name == cable);
        &end.expect("the cable was laid").1
    }

    pub(crate) fn cut(&self, cable: &str) {
        assert!(self.hub.ip(&format!("link set {cable} down")));
    }

    pub(crate) fn heal(&self, cable: &str) {
        assert!(self.hub.ip(&format!("link set {cable} up")));
    }

    /// Nothing goes between the ends of these two cables any more.
    pub(crate) fn part(&self, cable: &str, from: &str) {
        let there = &self.space(from).address;
        let ip = format!("route add blackhole {there}/32");
        assert!(self.space(cable).ip(&ip));
    }

    /// Takes back all that [`Self::part`] did at the end of this cable.
    pub(crate) fn rejoin(&self, cable: &str) {
        assert!(self.space(cable).ip("route flush type blackhole"));
    }
}
