//! Code cites `docs/protocol.md` by section: each cited section is a heading there, so that the
//! living protocol keeps the numbers that the code relies on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The numbers of the headings: `3.2` of `### 3.2 From segment to stored shard`.
fn headings(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| number(line.trim_start_matches(['#', ' '])).to_owned())
        .filter(|number| !number.is_empty())
        .collect()
}

/// The section number at the start of `text`: digits, perhaps with a dot and digits.
fn number(text: &str) -> &str {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}

/// The sections that a source cites right after each mention of `docs/protocol.md`.
fn cited(source: &str) -> Vec<String> {
    let comments: Vec<&str> = source
        .lines()
        .map(|line| line.trim_start().trim_start_matches(['/', '!']).trim())
        .collect();
    let text = comments.join(" ");
    let mut found = Vec::new();
    for tail in text.split("docs/protocol.md").skip(1) {
        let mut rest = tail.trim_start_matches(['`', ' ']);
        while let Some(after) = rest.strip_prefix('§') {
            let first = number(after);
            found.push(first.to_owned());
            rest = &after[first.len()..];
            if let Some(after) = rest.strip_prefix('–') {
                let last = number(after);
                found.push(last.to_owned());
                rest = &after[last.len()..];
            }
            rest = rest.trim_start_matches([',', ' ']);
            rest = rest.strip_prefix("and ").unwrap_or(rest);
        }
    }
    found
}

/// Calls `visit` for every Rust source below `dir`.
fn sources(dir: &Path, visit: &mut impl FnMut(&Path)) {
    let mut entries: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, visit);
        } else if path.extension().is_some_and(|e| e == "rs") {
            visit(&path);
        }
    }
}

#[test]
fn every_cited_section_is_a_heading() {
    let root = larder_tests::root();
    let headings = headings(&fs::read_to_string(root.join("docs/protocol.md")).unwrap());
    let mut citations: BTreeMap<String, Vec<String>> = BTreeMap::new();
    sources(&root, &mut |path| {
        for section in cited(&fs::read_to_string(path).unwrap()) {
            citations
                .entry(section)
                .or_default()
                .push(path.display().to_string());
        }
    });
    assert!(
        citations.len() >= 10,
        "the sources cite the protocol: {citations:?}"
    );
    for (section, by) in citations {
        assert!(
            headings.contains(&section),
            "docs/protocol.md has no §{section}, cited by {by:?}"
        );
    }
}

#[test]
fn citations_are_found_as_they_are_written() {
    let source = "//! About blocks. `docs/protocol.md` §3.3–3.6,\n//! §3.12.\n\
                  /// docs/protocol.md §4.1 and §4.3.\n// RFC 9380 §5";
    assert_eq!(cited(source), ["3.3", "3.6", "3.12", "4.1", "4.3"]);
    assert!(
        headings("# Title\n## 3. The\n### 3.2 Shards\n")
            .is_superset(&["3", "3.2"].map(str::to_owned).into())
    );
}
