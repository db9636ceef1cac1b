//! Backups that begin by themselves: by the clock, after changes, with commands before and after, and
//! what is said when none was made for too long.

use crate::fleet::{Fleet, Node, offered};
use crate::folder::plain;
use crate::until::until;
use serde_json::Value;
use std::fs;
use std::time::Duration;

const PROVIDERS: usize = 3;
const SOON: Duration = Duration::from_secs(180);

fn snapshots(keeper: &Node) -> Vec<Value> {
    keeper.larder(&["snapshots"]).objects()
}

/// A schedule as it is listed.
fn listed(keeper: &Node, name: &str) -> Option<Value> {
    let all = keeper.larder(&["schedule", "list"]).objects().into_iter();
    all.into_iter().find(|s| s["name"] == name)
}

#[test]
fn backups_begin_by_themselves_and_say_when_they_do_not() {
    let fleet = Fleet::found("60s");
    let _providers = fleet.providers(PROVIDERS);
    let mut keeper = fleet.keeper();
    offered(&keeper, PROVIDERS);
    let folder = fleet.path("folder");
    let trace = fleet.path("trace");
    plain(&folder, 1);
    let path = folder.to_str().unwrap();
    let after = format!(
        "echo $LARDER_SCHEDULE $LARDER_RESULT >> {}",
        trace.display()
    );

    // By the clock, with commands.
    let line = [
        "schedule",
        "set",
        path,
        "--name",
        "often",
        "--every",
        "3s",
        "--tag",
        "timed",
        "--before",
        "echo made ready",
        "--after",
        &after,
    ];
    keeper.larder(&line).done();
    let traced = || fs::read_to_string(&trace).unwrap_or_default();
    until("two backups by the clock", SOON, || {
        (traced().lines().count() >= 2).then_some(())
    });
    assert!(traced().lines().all(|l| l == "often done"), "{}", traced());
    keeper.larder(&["schedule", "remove", "often"]).done();
    let gone = keeper.larder(&["schedule", "run", "often"]).refused(1);
    assert!(gone.contains("schedule list"), "{gone}");
    let made = snapshots(&keeper);
    assert!(made.len() >= 2 && made[0]["tags"][0] == "timed", "{made:?}");

    // A command that fails: nothing is backed up, and it is said.
    let line = [
        "schedule",
        "set",
        path,
        "--name",
        "never",
        "--every",
        "30d",
        "--before",
        "echo no disk; exit 4",
        "--warn-after",
        "1s",
    ];
    keeper.larder(&line).done();
    until("no backup runs", SOON, || {
        (keeper.status().jobs == 0).then_some(())
    });
    let before = snapshots(&keeper).len();
    let said = keeper.larder(&["schedule", "run", "never"]).refused(1);
    assert!(said.contains("nothing was backed up"), "{said}");
    assert_eq!(snapshots(&keeper).len(), before);
    let never = listed(&keeper, "never").unwrap();
    assert!(
        never["trouble"]
            .as_str()
            .unwrap()
            .contains("exit status: 4")
    );
    let job = format!("{{\"job\":{}}}", never["job"]);
    let log = keeper.larder(&["call", "job_log", &job]).out;
    assert!(log.contains("before: no disk"), "{log}");
    until("an old backup is an alert", SOON, || {
        let alerts = keeper.larder(&["alerts"]).objects().into_iter();
        let old = |a: &Value| a["code"] == "backup_old" && a["subject"] == "never";
        alerts.into_iter().find(old)
    });
    keeper.larder(&["schedule", "remove", "never"]).done();

    // After changes, also after a restart.
    let line = [
        "schedule", "set", path, "--name", "live", "--watch", "--settle", "1s",
    ];
    keeper.larder(&line).done();
    let good = |than: &Value| {
        let live = listed(&keeper, "live")?;
        let good = &live["last_good"];
        (!good.is_null() && good != than && live["next"].is_null()).then(|| good.clone())
    };
    let first = until("what was there is backed up", SOON, || good(&Value::Null));
    fs::write(folder.join("new"), "news").unwrap();
    until("a change is backed up", SOON, || good(&first));
    let found = keeper.larder(&["find", "new", "--snapshot", "latest"]);
    assert_eq!(found.objects().len(), 1);
    let bad = keeper.larder(&["schedule", "set", path, "--at", "25:00"]);
    assert!(bad.refused(2).contains("03:00"));
    keeper.stop();
    keeper.start();
    assert!(listed(&keeper, "live").unwrap()["last_good"].is_string());
}
