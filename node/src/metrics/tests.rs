//! The exposition, read by a strict parser: OpenMetrics 1.0, and our own rule for names.

use super::*;
use larder_rpc::{Outcome, Refused};
use std::collections::BTreeSet;

/// The areas of the surface.
const AREAS: [&str; 6] = ["chain", "node", "rpc", "keeper", "provider", "storage"];

/// A family as the text describes it.
#[derive(Debug, Default)]
struct Described {
    help: String,
    kind: String,
    unit: Option<String>,
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// Reads an exposition.
///
/// # Panics
/// At the first line that breaks a rule.
fn parse(text: &str) -> BTreeMap<String, Described> {
    let body = text.strip_suffix("# EOF\n").expect("it ends with EOF");
    let mut families: BTreeMap<String, Described> = BTreeMap::new();
    let mut current = String::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let (word, rest) = rest.split_once(' ').unwrap();
            let (name, value) = rest.split_once(' ').unwrap();
            if word == "HELP" {
                let new = families.insert(name.to_owned(), Described::default());
                assert!(new.is_none(), "{name} comes twice");
                name.clone_into(&mut current);
            }
            assert_eq!(name, current, "a family's lines stand together");
            let family = families.get_mut(name).unwrap();
            match word {
                "HELP" => value.clone_into(&mut family.help),
                "TYPE" => value.clone_into(&mut family.kind),
                "UNIT" => family.unit = Some(value.to_owned()),
                _ => panic!("{line}"),
            }
            assert!(family.samples.is_empty(), "descriptions come first");
            continue;
        }
        let family = families.get_mut(&current).expect("a family is open");
        family.samples.push(sample(line));
    }
    families
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (name, value) = line.rsplit_once(' ').unwrap();
    let value: f64 = value.parse().unwrap();
    let Some((name, labels)) = name.split_once('{') else {
        return (name.to_owned(), BTreeMap::new(), value);
    };
    let labels = labels.strip_suffix('}').unwrap();
    let labels: Vec<(String, String)> = labels
        .split(',')
        .map(|label| {
            let (key, value) = label.split_once('=').unwrap();
            let value = value.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
            (key.to_owned(), value.to_owned())
        })
        .collect();
    let count = labels.len();
    let labels: BTreeMap<_, _> = labels.into_iter().collect();
    assert_eq!(labels.len(), count, "no label comes twice: {line}");
    (name.to_owned(), labels, value)
}

/// Whether a family keeps to OpenMetrics and to our names.
fn check(name: &str, family: &Described) {
    assert!(
        !family.help.is_empty() && !family.kind.is_empty(),
        "{name} is described"
    );
    let parts: Vec<&str> = name.split('_').collect();
    let plain = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    assert!(parts.iter().all(plain), "{name}");
    assert!(parts[0] == "larder" && AREAS.contains(&parts[1]), "{name}");
    if family.kind != "info" {
        assert!(parts.len() >= 4, "{name}: area, what and unit");
        assert_eq!(
            family.unit.as_deref(),
            parts.last().copied(),
            "{name} names its unit"
        );
    }
    let suffixes: &[&str] = match family.kind.as_str() {
        "gauge" => &[""],
        "counter" => &["_total"],
        "histogram" => &["_bucket", "_count", "_sum"],
        "info" => &["_info"],
        kind => panic!("{name}: {kind}"),
    };
    let mut seen = BTreeSet::new();
    for (sample, labels, value) in &family.samples {
        let suffix = sample
            .strip_prefix(name)
            .expect("samples are their family's");
        assert!(suffixes.contains(&suffix), "{sample}");
        assert!(value.is_finite() && *value >= 0.0, "{sample} {value}");
        assert!(
            seen.insert((sample.clone(), format!("{labels:?}"))),
            "{sample} comes twice"
        );
        for (key, value) in labels {
            let known = ["code", "method", "outcome", "reason", "le", "version"];
            assert!(known.contains(&key.as_str()), "{sample}: {key}");
            assert!(!value.contains("12D3"), "no peer is named: {sample}");
        }
    }
}

fn busy() -> RpcMetrics {
    let rpc = RpcMetrics::default();
    rpc.called("node_status", Outcome::Done, 0.001);
    rpc.called("nobody_knows", Outcome::Failed, 3.0);
    rpc.refused(Refused::Origin);
    rpc
}

fn full() -> Sample {
    Sample {
        chain: Chain {
            height: 77,
            ..Chain::default()
        },
        alerts: BTreeMap::from([(AlertCode::NoPeers, 1), (AlertCode::DiskFailing, 2)]),
        started: Time(1_000),
        now: Time(61_500),
        resident: resident_bytes(),
        provided: Some(Provided {
            earned: Amount(1_500_000_000),
            ..Provided::default()
        }),
        ..Sample::default()
    }
}

#[test]
fn every_family_is_described_and_named_by_the_rule() {
    let families = parse(&exposition(&full(), &busy()));
    for (name, family) in &families {
        check(name, family);
    }
    for area in AREAS {
        let prefix = format!("larder_{area}_");
        assert!(
            families.keys().any(|name| name.starts_with(&prefix)),
            "{area}"
        );
    }
    let bare = parse(&exposition(&Sample::default(), &RpcMetrics::default()));
    assert!(bare.keys().all(|name| !name.starts_with("larder_provider")));
}

#[test]
fn values_are_what_was_counted() {
    let families = parse(&exposition(&full(), &busy()));
    let value = |family: &str, label: Option<&str>| {
        let of = |(_, labels, _): &&(String, BTreeMap<String, String>, f64)| {
            label.is_none_or(|label| labels.values().any(|v| v == label))
        };
        families[family].samples.iter().find(of).unwrap().2
    };
    let whole = [
        (value("larder_chain_height_blocks", None), 77.0),
        (value("larder_node_uptime_seconds", None), 60.0),
        (value("larder_node_open_alerts", Some("no_peers")), 1.0),
        (value("larder_node_open_alerts", Some("disk_failing")), 2.0),
        (value("larder_provider_earned_nano", None), 1_500_000_000.0),
        (value("larder_rpc_ended_calls", Some("unknown")), 1.0),
    ];
    for (found, wanted) in whole {
        assert!((found - wanted).abs() < 0.5, "{found} {wanted}");
    }
    let resident = value("larder_node_resident_memory_bytes", None);
    assert!(resident > 1e6, "{resident}");
}
