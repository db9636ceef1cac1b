//! Every package that is linked or runs while building carries a licence that `deny.toml` allows.

use std::fs;
use std::process::Command;

/// The licences of `deny.toml`, as SPDX expressions of one term.
fn allowed() -> Vec<spdx::Licensee> {
    let text = fs::read_to_string(larder_tests::root().join("deny.toml")).unwrap();
    let deny: toml::Table = text.parse().unwrap();
    let list = deny["licenses"]["allow"].as_array().unwrap();
    list.iter()
        .map(|term| spdx::Licensee::parse(term.as_str().unwrap()).unwrap())
        .collect()
}

/// `name version|licence` of all packages that a build for this machine takes, ours included.
fn packages() -> Vec<(String, String)> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--edges", "normal,build"])
        .args(["--prefix", "none", "--no-dedupe", "--format", "{p}|{l}"])
        .current_dir(larder_tests::root())
        .output()
        .unwrap();
    assert!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    let text = String::from_utf8(tree.stdout).unwrap();
    let mut packages: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| line.split_once('|'))
        .map(|(package, licence)| (package.to_owned(), licence.to_owned()))
        .collect();
    packages.sort();
    packages.dedup();
    packages
}

#[test]
fn every_licence_is_allowed() {
    let (allowed, packages) = (allowed(), packages());
    assert!(
        packages.len() > 300,
        "the whole tree was listed: {}",
        packages.len()
    );
    for (package, licence) in packages {
        let expression = spdx::Expression::parse_mode(&licence, spdx::ParseMode::LAX)
            .unwrap_or_else(|e| panic!("{package}: {licence:?} is no licence: {e}"));
        let good = expression.evaluate(|term| allowed.iter().any(|one| one.satisfies(term)));
        assert!(good, "{package}: {licence} is not allowed by deny.toml");
    }
}

#[test]
fn a_strange_licence_would_be_found() {
    let expression = spdx::Expression::parse("GPL-3.0-only OR SSPL-1.0").unwrap();
    assert!(!expression.evaluate(|term| allowed().iter().any(|one| one.satisfies(term))));
}
