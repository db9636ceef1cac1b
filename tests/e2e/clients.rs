//! Programs that nobody here wrote, unmodified: JSON-RPC libraries of npm and PyPI, `wscat`, `curl`, and a client
//! generated from the OpenRPC document. What is asked of the libraries lies in `tests/clients`.

use crate::fleet::{Fleet, Node, run};
use serde_json::{Value, json};
use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `tests/clients` is run, with the packages that it needs.
struct Bench {
    folder: PathBuf,
    python: PathBuf,
}

impl Bench {
    fn new(folder: PathBuf) -> Self {
        let modules = set_up("LARDER_TEST_NODE_MODULES", "node_modules");
        let python = set_up("LARDER_TEST_PYTHON", "venv/bin/python");
        fs::create_dir(&folder).unwrap();
        for entry in fs::read_dir(larder_tests::root().join("tests/clients")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
        // Modules are looked for beside the program that wants them.
        symlink(modules, folder.join("node_modules")).unwrap();
        Self { folder, python }
    }

    /// Runs a program of `tests/clients` on a node; it ends with success if it has seen all it should.
    fn passes(&self, program: &str, node: &Node, words: &[&Path]) {
        let interpreter = match Path::new(program).extension() {
            Some(extension) if extension == "py" => &self.python,
            _ => Path::new("node"),
        };
        let mut command = Command::new(interpreter);
        command
            .arg(self.folder.join(program))
            .arg(&node.home)
            .args(words)
            .env("no_proxy", "127.0.0.1");
        let said = run(command);
        let (out, err) = (&said.out, &said.err);
        assert_eq!(said.code, 0, "{program}:\n{out}{err}");
        let seen = out.lines().map(serde_json::from_str::<Value>);
        assert!(seen.flatten().count() > 0, "{program} did nothing:\n{err}");
    }
}

/// What `./larder test` has set up and named in `variable`; without it, where it would have put it.
fn set_up(variable: &str, name: &str) -> PathBuf {
    let test = env::current_exe().expect("a process knows its file");
    let target = test.ancestors().nth(3);
    let target = target.expect("it lies in <target>/<profile>/deps");
    let there = env::var_os(variable).map_or_else(|| target.join("clients").join(name), Into::into);
    assert!(
        there.exists(),
        "{} is not there: run `tests/clients/set-up.sh {}`, or all tests with `./larder test`",
        there.display(),
        target.join("clients").display()
    );
    there
}

#[test]
fn libraries_of_npm_and_wscat_call_the_node_and_follow_its_blocks() {
    let fleet = Fleet::found("4s");
    let bench = Bench::new(fleet.path("clients"));
    for program in [
        "with_viem.mjs",
        "with_ethers.mjs",
        "with_jayson.mjs",
        "with_open_rpc_client.mjs",
        "with_rpc_websockets.mjs",
        "with_wscat.mjs",
    ] {
        bench.passes(program, &fleet.founder, &[]);
    }
}

#[test]
fn libraries_of_pypi_call_the_node_and_follow_its_blocks() {
    let fleet = Fleet::found("4s");
    let bench = Bench::new(fleet.path("clients"));
    for program in [
        "with_web3.py",
        "with_jsonrpcclient.py",
        "with_jsonrpc_websocket.py",
    ] {
        bench.passes(program, &fleet.founder, &[]);
    }
}

#[test]
fn the_openrpc_document_is_valid_and_a_client_generated_from_it_works() {
    let fleet = Fleet::found("4s");
    let bench = Bench::new(fleet.path("clients"));
    let document = larder_tests::root().join("docs/openrpc.json");
    let made = bench.folder.join("made");
    bench.passes("openrpc.mjs", &fleet.founder, &[&document, &made]);
}

/// What curl brings of a path of the node, and the status.
fn curl(node: &Node, path: &str, words: &[&str]) -> (u16, String) {
    let rpc = fs::read(node.home.join("rpc.json")).unwrap();
    let rpc: Value = serde_json::from_slice(&rpc).unwrap();
    let address = rpc["address"].as_str().unwrap();
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--noproxy", "*"])
        .args(["--write-out", "\n%{http_code}"])
        .args(words)
        .arg(format!("http://{address}{path}"));
    let said = run(command);
    assert_eq!(said.code, 0, "{said:?}");
    let (body, status) = said.out.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

#[test]
fn curl_alone_calls_by_name_and_position_in_batches_and_reads_errors() {
    let fleet = Fleet::found("4s");
    let node = &fleet.founder;
    let account = node.info().account.to_string();
    let cookie = fs::read_to_string(node.home.join("cookie")).unwrap();
    let (bearer, password) = (
        format!("Authorization: Bearer {cookie}"),
        format!("larder:{cookie}"),
    );
    let asks = |access: &[&str], body: &Value| {
        let body = body.to_string();
        let json = [
            "--header",
            "Content-Type: application/json",
            "--data",
            body.as_str(),
        ];
        curl(node, "/rpc", &[access, &json].concat())
    };
    let call = |method: &str, params: Value| json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    let named = call("ledger_getBalance", json!({ "account": account }));
    let positional = call("ledger_getBalance", json!([account]));
    let nobody = call("ledger_getAccount", json!([format!("z{}", "1".repeat(32))]));

    for access in [["--header", &bearer], ["--user", &password]] {
        for call in [&named, &positional] {
            let (status, answer) = asks(&access, call);
            let answer: Value = serde_json::from_str(&answer).unwrap();
            assert_eq!((status, &answer["id"]), (200, &json!(7)), "{answer}");
            assert_eq!(answer["result"]["account"], json!(account), "{answer}");
        }
    }
    let access = ["--header", &bearer];
    let (_, answers) = asks(&access, &json!([named, nobody]));
    let answers: Value = serde_json::from_str(&answers).unwrap();
    assert_eq!(answers[0]["result"]["account"], json!(account), "{answers}");
    let error = &answers[1]["error"];
    assert_eq!(error["code"], 1000, "{answers}");
    assert_eq!(error["data"]["reason"], "not_on_ledger", "{answers}");

    let (status, why) = asks(&[], &named);
    assert!(status == 401 && why.contains("cookie"), "{status} {why}");
    assert_eq!(curl(node, "/healthz", &[]), (200, "ok\n".to_owned()));
    let (status, metrics) = curl(node, "/metrics", &[]);
    assert!(status == 200 && metrics.contains("larder_"), "{metrics}");
}
