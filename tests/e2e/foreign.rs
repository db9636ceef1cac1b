//! Programs in other languages that talk to a node: those in `tests/clients`, with the packages that
//! `./larder test` puts beside the build products.

use crate::fleet::{Node, Said, run};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A path that `./larder test` names, else where it would put it.
fn installed(variable: &str, usual: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its file");
    let target = test
        .ancestors()
        .nth(3)
        .expect("it lies in <target>/<profile>/deps");
    let path = std::env::var_os(variable)
        .map_or_else(|| target.join("clients").join(usual), PathBuf::from);
    assert!(
        path.exists(),
        "{} is not there: run `tests/clients/set-up.sh {}` first, as `./larder test` does",
        path.display(),
        target.join("clients").display()
    );
    path
}

/// The folder with the Node packages.
pub(crate) fn node_modules() -> PathBuf {
    installed("LARDER_TEST_NODE_MODULES", "node_modules")
}

/// The Python interpreter that has the Python packages.
pub(crate) fn python() -> PathBuf {
    installed("LARDER_TEST_PYTHON", "venv/bin/python")
}

/// A program of `tests/clients`, `.mjs` or `.py`.
pub(crate) struct Program {
    interpreter: PathBuf,
    file: PathBuf,
    /// A copy beside the packages, where Node looks for them.
    _dir: TempDir,
}

impl Program {
    pub(crate) fn of(name: &str) -> Self {
        let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        fs::copy(clients.join(name), &file).unwrap();
        let interpreter = match name.ends_with(".py") {
            true => python(),
            false => {
                symlink(node_modules(), dir.path().join("node_modules")).unwrap();
                PathBuf::from("node")
            }
        };
        Self {
            interpreter,
            file,
            _dir: dir,
        }
    }

    pub(crate) fn run(&self, words: &[&str]) -> Said {
        let mut command = Command::new(&self.interpreter);
        command.arg(&self.file).args(words);
        run(command)
    }

    /// The same, told where a node is, how to ask it, and which network it is of.
    pub(crate) fn ask(&self, node: &Node, words: &[&str]) -> Said {
        let rpc = fs::read_to_string(node.home.join("rpc.json")).unwrap();
        let rpc: Value = serde_json::from_str(&rpc).unwrap();
        let url = format!("http://{}", rpc["address"].as_str().unwrap());
        let cookie = node.home.join("cookie");
        let genesis = node.info().genesis.to_string();
        let about = ["--rpc", &url, "--cookie", cookie.to_str().unwrap()];
        self.run(&[words, &about, &["--genesis", &genesis]].concat())
    }
}
