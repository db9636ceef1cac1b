//! Damage that nobody has met yet: `check --read-data` finds one flipped byte and names the files that
//! lie there, `repair` mends it, a drill restores a sample and signs what came of it.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, offered};
use crate::folder::{files, plain};
use crate::until::until;
use serde_json::Value;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(180);

#[test]
fn one_flipped_byte_is_found_named_and_mended() {
    // Epochs so long that no scrubber and no proof comes first.
    let fleet = Fleet::found("60s");
    let providers = fleet.providers(6);
    let keeper = fleet.keeper();
    offered(&keeper, 6);
    let folder = fleet.path("folder");
    plain(&folder, 3);
    let path = folder.to_str().unwrap();
    saved(&keeper.larder(&["backup", "--class", "low", path]));
    until("every shard is placed", SOON, || {
        (keeper.repairs()["full_redundancy"] == true).then_some(())
    });
    let sound = keeper.larder(&["check", "--read-data"]).done();
    assert_eq!(sound["segments"], sound["segments_read"], "{sound}");
    assert_eq!(sound["damaged_shards"], 0, "{sound}");
    let some = keeper
        .larder(&["check", "--read-data-subset", "1KiB"])
        .done();
    assert_eq!(some["segments_read"], 1, "{some}");
    let bad = keeper.larder(&["check", "--read-data-subset", "half"]);
    assert!(bad.refused(2).contains("5%"));

    let holder = providers.iter().find(|p| largest(&p.home).is_some());
    flip(&largest(&holder.unwrap().home).unwrap());
    let said = keeper.larder(&["check", "--read-data"]);
    let why = said.refused(22);
    assert!(why.contains("larder repair"), "{why}");
    let summary = said.last();
    assert_eq!(summary["damaged_shards"], 1, "{summary}");
    assert_eq!(summary["damaged"].as_array().unwrap().len(), 1);
    assert_eq!(summary["segments"], summary["segments_read"], "{summary}");
    let named = named(&said.err);
    assert!(
        named.iter().any(|n| n.contains(&format!(":{path}/"))),
        "{named:?}"
    );
    assert_eq!(summary["errors"], named.len(), "{summary}");

    let repaired = keeper.larder(&["repair"]).done();
    assert_eq!(repaired["remaining"], 0, "{repaired}");
    let mended = keeper.larder(&["check", "--read-data"]).done();
    assert_eq!(
        (&mended["ok"], &mended["damaged_shards"]),
        (&true.into(), &0.into())
    );
    drilled(&keeper);
    dumped(&fleet, &keeper, &folder);
    let stats = keeper.larder(&["stats"]).objects();
    let kept = stats.iter().find(|o| o["message_type"] == "kept").unwrap();
    let size = |key: &str| kept[key].as_u64().unwrap();
    assert!(size("bytes_stored") > size("bytes_sealed"), "{kept}");
    let nobody = keeper.larder(&["stats", "--what-if", "lose=nobody"]);
    assert!(nobody.refused(1).contains("nobody"));
    let one = |o: &&Value| o["message_type"] == "domain" && o["kind"] != "region";
    let domain = stats.iter().find(one).unwrap();
    let lose = format!("lose={}", domain["name"].as_str().unwrap());
    let without = keeper.larder(&["stats", "--what-if", &lose]).done();
    let all = (&without["providers"], &without["survives"]);
    assert_eq!(
        all,
        (&1.into(), &true.into()),
        "any two of four bring it back"
    );
}

/// A file comes as it is, a folder as an archive that unpacks to the same.
fn dumped(fleet: &Fleet, keeper: &Node, folder: &Path) {
    let dump = |what: &Path, to: &Path| {
        let mut command = std::process::Command::new(crate::fleet::binary());
        command.arg("--home").arg(&keeper.home).arg("dump");
        command.arg(format!("latest:{}", what.display()));
        command.stdout(std::fs::File::create(to).unwrap());
        assert!(command.status().unwrap().success());
    };
    let (one, all, out) = (fleet.path("one"), fleet.path("all.tar"), fleet.path("out"));
    let file = files(folder).into_iter().next().unwrap();
    dump(&file, &one);
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&file).unwrap());
    dump(folder, &all);
    std::fs::create_dir(&out).unwrap();
    let mut unpack = std::process::Command::new("tar");
    unpack.arg("-xf").arg(&all).arg("-C").arg(&out);
    assert!(unpack.status().unwrap().success());
    let contents = |root: &Path| {
        let files = files(root).into_iter();
        let of =
            |f: std::path::PathBuf| (f.strip_prefix(root).unwrap().to_owned(), std::fs::read(&f));
        let read = files.map(of).map(|(name, bytes)| (name, bytes.unwrap()));
        read.collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(contents(&out), contents(folder));
}

/// A drill of this snapshot finds nothing wrong, and says so under the device's signature.
fn drilled(keeper: &Node) {
    let drill = keeper
        .larder(&["drill", "latest", "--sample", "50%"])
        .done();
    assert!(drill["files"].as_u64().unwrap() > 0, "{drill}");
    assert_eq!(
        (&drill["failures"], &drill["valid"]),
        (&0.into(), &true.into())
    );
    assert!(
        !keeper.home.join("drill").exists(),
        "what was restored is gone"
    );
    assert!(
        keeper
            .larder(&["drill", "--sample", "some"])
            .refused(2)
            .contains("1GiB")
    );
    let line = ["drill", "--every", "2s", "--sample", "1KiB"];
    keeper.larder(&line).done();
    until("a drill runs by itself", SOON, || {
        let drills = keeper.larder(&["drill", "list"]).objects();
        let drills = drills.iter().filter(|d| d["message_type"] == "drill");
        (drills.count() >= 2).then_some(())
    });
    keeper.larder(&["schedule", "remove", "drill"]).done();
}

/// The largest shard that a provider stores: one of a file's data.
fn largest(home: &Path) -> Option<std::path::PathBuf> {
    let shards = files(&home.join("shards/shards")).into_iter();
    let shards = shards.filter(|f| f.extension().is_none());
    shards.max_by_key(|f| f.metadata().unwrap().len())
}

fn flip(shard: &Path) {
    let file = OpenOptions::new().read(true).write(true).open(shard);
    let file = file.unwrap();
    let middle = file.metadata().unwrap().len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle).unwrap();
    file.write_all_at(&[byte[0] ^ 1], middle).unwrap();
}

/// The paths that a command had trouble with.
fn named(err: &str) -> Vec<String> {
    let lines = err.lines().filter_map(|l| serde_json::from_str(l).ok());
    let troubles = lines.filter(|l: &Value| l["message_type"] == "error");
    let paths = troubles.filter_map(|l| Some(l["path"].as_str()?.to_owned()));
    paths.collect()
}
