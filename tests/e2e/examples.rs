//! The examples of `docs/rpc.md` against a real node: by name and by position, each answers what its method says,
//! or the error that stands there. `LARDER_BLESS=1` writes down what was answered.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, offered};
use crate::folder::plain;
use larder_rpc::api::all;
use larder_rpc::handbook::{Example, examples};
use larder_rpc::{Client, ClientError};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// What stands for `{name}` in the examples' parameters.
type Names = BTreeMap<&'static str, String>;

fn filled(value: &Value, names: &Names) -> Value {
    match value {
        Value::String(text) => {
            let name = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
            let known = name.and_then(|name| names.get(name));
            Value::String(known.unwrap_or(text).clone())
        }
        Value::Array(items) => items.iter().map(|item| filled(item, names)).collect(),
        Value::Object(members) => {
            let members = members.iter();
            Value::Object(
                members
                    .map(|(k, v)| (k.clone(), filled(v, names)))
                    .collect(),
            )
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// The same parameters by position.
fn by_position(method: &str, params: &Value) -> Value {
    let row = all().find(|row| row.name == method).unwrap();
    let mut list: Vec<Value> = (row.fields)()
        .iter()
        .map(|field| params.get(*field).cloned().unwrap_or_default())
        .collect();
    while list.last().is_some_and(Value::is_null) {
        list.pop();
    }
    Value::Array(list)
}

fn ask(node: &Node, method: &str, params: &Value) -> Result<Value, ClientError> {
    node.ask(|client: Client| async move { client.call(method, params).await })
}

/// The answer, if it is such as the example's.
fn answers(node: &Node, example: &Example, params: &Value) -> Value {
    let method = example.method.as_str();
    match (ask(node, method, params), &example.error) {
        (Ok(result), None) => {
            let row = all().find(|row| row.name == method).unwrap();
            (row.reads)(&result.to_string()).unwrap_or_else(|e| panic!("{method}: {e}"));
            result
        }
        (Err(ClientError::Refused { code, message }), Some(expected)) => {
            assert_eq!(expected["code"], code.number(), "{method}: {message}");
            json!({
                "code": code.number(),
                "message": message,
                "data": { "reason": code.reason(), "retryable": code.retryable() },
            })
        }
        (other, _) => panic!("{method} {params}: {other:?}"),
    }
}

#[test]
fn every_example_is_answered_as_it_stands_in_the_handbook() {
    let fleet = Fleet::found("4s");
    let _providers = fleet.providers(3);
    let keeper = fleet.keeper();
    offered(&keeper, 3);
    let folder = fleet.path("folder");
    plain(&folder, 3);
    saved(&keeper.larder(&["backup", folder.to_str().unwrap()]));
    let contracts = keeper.settled();
    let (info, other) = (keeper.info(), fleet.founder.info());
    let sent = keeper.larder(&["wallet", "send", &other.account.to_string(), "1"]);
    let names = Names::from([
        ("account", info.account.to_string()),
        ("other", other.account.to_string()),
        ("node", info.node.to_string()),
        ("provider", contracts[0].provider.to_string()),
        ("contract", contracts[0].contract.to_string()),
        ("folder", folder.to_str().unwrap().to_owned()),
        ("target", fleet.path("target").to_str().unwrap().to_owned()),
        ("tx", sent.done()["tx"].as_str().unwrap().to_owned()),
    ]);
    let mut written = Vec::new();
    for example in examples().unwrap() {
        let params = filled(&Value::Object(example.params.clone()), &names);
        let position = by_position(&example.method, &params);
        let answer = answers(&keeper, &example, &params);
        if example.error.is_some() || !changes(&example.method) {
            answers(&keeper, &example, &position);
        }
        let (result, error) = match example.error {
            None => (Some(answer), None),
            Some(_) => (None, Some(answer)),
        };
        written.push(Example {
            result,
            error,
            ..example
        });
    }
    let examples: Vec<Value> = written
        .into_iter()
        .map(|example| readable(&example, &fleet))
        .collect();
    if std::env::var_os("LARDER_BLESS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rpc-examples.json");
        let text = serde_json::to_string_pretty(&examples).unwrap();
        std::fs::write(path, format!("{text}\n")).unwrap();
    }
}

/// Whether a second call would not be as the first.
fn changes(method: &str) -> bool {
    matches!(
        method,
        "auth_createToken" | "wallet_send" | "wallet_create" | "backup_start" | "backup_restore"
    )
}

/// With nothing of this machine in it.
fn readable(example: &Example, fleet: &Fleet) -> Value {
    let text = serde_json::to_string(example).unwrap();
    let dir = fleet.path("");
    let dir = dir.to_str().unwrap().trim_end_matches('/');
    let mut value: Value = serde_json::from_str(&text.replace(dir, "/home/anna")).unwrap();
    shorten(&mut value);
    value
}

/// Long hex is what nobody reads: its beginning, in a form that is still hex.
fn shorten(value: &mut Value) {
    match value {
        Value::String(text) if text.starts_with("0x") && text.len() > 200 => text.truncate(130),
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(members) => members.values_mut().for_each(shorten),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
