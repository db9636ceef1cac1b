//! Bad input and lacking means: one plain line that names the mend, and the exit code of SURFACE.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, larder, offered};
use crate::folder::{files, plain};
use crate::until::until;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

#[test]
fn what_a_home_cannot_do_is_refused_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let words = path("words");
    fs::write(&words, "abandon ".repeat(24)).unwrap();
    let words = words.to_str().unwrap();
    let init = ["init", "--new-network", "--words-file", words];
    let why = larder(&path("wrong"), &init).refused(12);
    assert!(why.contains("words"), "{why}");
    assert!(!path("wrong").join("config.toml").exists());
    let why = larder(&path("none"), &["init", "--join", "garbage"]).refused(1);
    assert!(why.contains("invite"), "{why}");

    for verb in ["status", "up", "snapshots", "doctor"] {
        let why = larder(&path("none"), &[verb]).refused(10);
        assert!(why.contains("larder init"), "{verb}: {why}");
    }
    for usage in [
        vec!["up", "--provide", "lots"],
        vec!["init", "--new-network", "--epoch", "soon"],
        vec!["restore", "latest"],
        vec!["frobnicate"],
    ] {
        assert_eq!(larder(&path("none"), &usage).code, 2, "{usage:?}");
    }

    let home = path("home");
    larder(&home, &["init", "--new-network"]).done();
    let why = larder(&home, &["init", "--new-network"]).refused(1);
    assert!(why.contains("already"), "{why}");
    for verb in [&["status"][..], &["backup", "/"], &["wallet", "balance"]] {
        let why = larder(&home, verb).refused(11);
        assert!(why.contains("larder --home"), "{verb:?}: {why}");
    }
    ports_in_use(&home);
    let little = ["up", "--provide", "1MiB", "--rpc", "127.0.0.1:0"];
    let why = larder(&home, &little).refused(2);
    assert!(why.contains("65MiB"), "{why}");
}

fn ports_in_use(home: &Path) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let (rpc, listen) = (
        format!("127.0.0.1:{port}"),
        format!("/ip4/127.0.0.1/tcp/{port}"),
    );
    let any = "/ip4/127.0.0.1/tcp/0";
    let why = larder(home, &["up", "--validate", "--listen", any, "--rpc", &rpc]).refused(1);
    assert!(why.contains("--rpc") && why.contains(&rpc), "{why}");
    let why = larder(home, &["up", "--listen", &listen, "--rpc", "127.0.0.1:0"]).refused(1);
    assert!(why.contains(&listen), "{why}");
    assert!(!home.join("rpc.json").exists());
}

#[test]
fn what_the_network_cannot_do_is_refused_and_nothing_falls_over() {
    let fleet = Fleet::found("4s");
    let mut keeper = without_privileges(fleet.join("keeper", &[]));
    keeper.start();
    let why = keeper.larder(&["backup", "/etc"]).refused(21);
    assert!(why.contains("provider"), "{why}");

    let mut provider = fleet.provider(1, "96MiB");
    provider.start();
    offered(&keeper, 1);
    let (small, big) = (fleet.path("small"), fleet.path("big"));
    plain(&small, 2);
    plain(&big, 80);
    let (small, big) = (small.to_str().unwrap(), big.to_str().unwrap());
    let why = keeper.larder(&["backup", big]).refused(21);
    assert!(why.contains("free"), "{why}");
    broke(&fleet, &keeper, small);
    named_wrongly(&fleet, &keeper, small);
    unreadable_in_part(&keeper, Path::new(small));
    // A contract is there by now, and neither it nor the quota has room for so much.
    let why = keeper.larder(&["backup", big]).refused(21);
    assert!(why.contains("free"), "{why}");

    let listen = "/ip4/127.0.0.1/tcp/0";
    let again = ["up", "--rpc", "127.0.0.1:0", "--listen", listen];
    let why = keeper.larder(&again).refused(11);
    assert!(why.contains("running"), "{why}");
    for node in [&mut keeper, &mut provider] {
        assert!(node.runs());
        node.stop();
    }
}

/// Gives all credit away, so that nothing is left to pay with; then it comes back.
fn broke(fleet: &Fleet, keeper: &Node, path: &str) {
    let account = |node: &Node| {
        let said = node.larder(&["wallet", "address"]).done();
        said["account"].as_str().unwrap().to_owned()
    };
    let (founder, own) = (account(&fleet.founder), account(keeper));
    let too_much = ["wallet", "send", &founder, "100.000000001"];
    let why = keeper.larder(&too_much).refused(21);
    assert!(why.contains("100"), "{why}");
    keeper.larder(&["wallet", "send", &founder, "100"]).done();
    let why = keeper.larder(&["backup", path]).refused(21);
    assert!(why.contains("credit"), "{why}");
    fleet
        .founder
        .larder(&["wallet", "send", &own, "100"])
        .done();
    until("the credit is back", Duration::from_secs(180), || {
        (keeper.status().balance.0.nano() > 0).then_some(())
    });
}

fn named_wrongly(fleet: &Fleet, keeper: &Node, path: &str) {
    let missing = fleet.path("missing");
    let why = keeper
        .larder(&["backup", missing.to_str().unwrap()])
        .refused(1);
    assert!(why.contains("missing"), "{why}");
    let target = fleet.path("target");
    let restore = ["restore", "latest", "--target", target.to_str().unwrap()];
    keeper.larder(&restore).refused(1);
    saved(&keeper.larder(&["backup", path, "--class", "low"]));
    let restore = ["restore", "ffff", "--target", target.to_str().unwrap()];
    keeper.larder(&restore).refused(1);
    keeper.larder(&["ls", "latest:/no/such/path"]).refused(1);
    assert!(!target.exists(), "nothing is made for what is not there");
}

/// Root reads everything: here it is stripped of that right.
fn without_privileges(node: Node) -> Node {
    if !rustix::process::geteuid().is_root() {
        return node;
    }
    let rights = "-dac_override,-dac_read_search";
    node.through(["setpriv", "--bounding-set", rights])
}

fn unreadable_in_part(keeper: &Node, folder: &Path) {
    let closed = folder.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::write(folder.join("secret"), "not for you").unwrap();
    for path in [&closed, &folder.join("secret")] {
        fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
    }
    let said = keeper.larder(&["backup", folder.to_str().unwrap()]);
    said.refused(3);
    let summary = said.last();
    assert_eq!(summary["errors"], 2, "{said:?}");
    assert!(summary["snapshot"].is_string(), "the rest is saved");
    for name in ["closed", "secret"] {
        let named = |line: &str| line.contains("\"error\"") && line.contains(name);
        assert!(said.err.lines().any(named), "{name}: {said:?}");
    }
    let there = keeper.larder(&["ls", "-R", "latest"]).objects();
    assert!(there.len() >= files(&folder.join("deep")).len());
    for path in [&closed, &folder.join("secret")] {
        fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
    }
}
