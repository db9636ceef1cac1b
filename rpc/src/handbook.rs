//! `docs/rpc.md`, written from the OpenRPC document and from the examples beside it, so that the text
//! cannot say what the node does not do: the examples are calls that the tests make.

use crate::api::namespaces;
use crate::discover::document;
use crate::feeds::SUBSCRIPTIONS;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

/// An example: a call, and what a node answered. In `params`, `{name}` stands for a value that the
/// node at hand has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The method.
    pub method: String,
    /// Its parameters, by name.
    pub params: Map<String, Value>,
    /// What it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Or the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}

/// The examples that are committed, `docs/rpc-examples.json`.
///
/// # Errors
/// If that file is not there, or holds something else.
pub fn examples() -> io::Result<Vec<Example>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rpc-examples.json");
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

const INTRO: &str = "\
# The JSON-RPC of a Larder node

*Written by `rpc/src/handbook.rs` from the registry that dispatches the calls; do not edit it. \
`docs/openrpc.json` is the same for programs, and `rpc.discover` answers it.*

A node listens on one loopback port: `POST /rpc` and a WebSocket at `/rpc`, beside `/metrics`, \
`/healthz` and `/readyz`. Programs of the node's user show the content of the file `cookie` in its \
home; `rpc.json` beside it says where the node listens. Others get a token from the owner \
(`auth_createToken`, or `larder token add`). Either goes into the header `Authorization: Bearer …`, or \
is the password of `Basic`, whatever the name.

```sh
home=~/.local/share/larder
url=$(sed 's/.*\"address\":\"\\([^\"]*\\)\".*/http:\\/\\/\\1\\/rpc/' $home/rpc.json)
curl -s $url -H \"Authorization: Bearer $(cat $home/cookie)\" -H 'Content-Type: application/json' \\
  -d '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"chain_head\"}'
larder call chain_head                     # the same, from the command line
```

- **Values**: amounts are decimal strings in nano (10^9 are one credit); bytes `0x` and hex; heights and byte \
counts integers; times RFC 3339; ids multibase strings. No float stands near money.
- **Parameters** are by name or, in the order given here, by position; unknown ones are refused.
- **Lists** come in pages: `{items, nextCursor}`; hand `nextCursor` back as `cursor`.
- **Scopes**: `read` sees, `wallet` spends, `admin` does all; each holds those before it. The cookie is \
`admin`.
- **Bounds**: 1 MiB a request, 10 MiB an answer, 100 calls a batch, 256 subscriptions a socket, 1,280 connections, \
1,000 calls a second a token unless it says otherwise; 15 seconds for a request to arrive.
- **Subscriptions** need the WebSocket. One that is too slow is told `{\"lagged\": n}`: n notices were \
left out, and what they told can be asked for. When the node stops, each ends with error 1501.
";

/// The whole text.
#[must_use]
pub fn handbook(examples: &[Example]) -> String {
    let document = document();
    let rows = &document["methods"];
    let row = |name: &str| {
        let rows = rows.as_array().into_iter().flatten();
        rows.clone().find(|row| row["name"] == name)
    };
    let mut out = INTRO.to_owned();
    out.push_str("\n## Methods\n");
    for namespace in namespaces() {
        line(&mut out, format_args!("\n### `{}_`\n", namespace.name));
        line(&mut out, format_args!("{}", namespace.about.trim()));
        for method in namespace.methods {
            let examples = examples.iter().filter(|e| e.method == method.name);
            if let Some(row) = row(method.name) {
                method_text(&mut out, row, &examples.collect::<Vec<_>>());
            }
        }
    }
    out.push_str("\n## Subscriptions\n");
    for subscription in SUBSCRIPTIONS {
        if let Some(row) = row(subscription.method.name) {
            method_text(&mut out, row, &[]);
            let brings = type_of(&row["x-notification"]["result"]);
            let (notice, leave) = (subscription.notice, subscription.leave);
            let text =
                format_args!("\nNotices: `{notice}`, each with {brings}. Ended by `{leave}`.");
            line(&mut out, text);
        }
    }
    out.push_str("\n## Errors\n\nBeside the standard codes of JSON-RPC. `data` holds `reason` and `retryable`.\n\n");
    out.push_str("| code | reason | again? | meaning |\n|---|---|---|---|\n");
    for code in crate::errors::Code::ALL {
        let again = if code.retryable() { "later" } else { "no" };
        let (number, reason) = (code.number(), code.reason());
        let text = format_args!(
            "| {number} | `{reason}` | {again} | {} |",
            code.about().trim()
        );
        line(&mut out, text);
    }
    out.push_str("\n## Types\n");
    if let Some(schemas) = document["components"]["schemas"].as_object() {
        for (name, schema) in schemas {
            type_text(&mut out, name, schema);
        }
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    writeln!(out, "{text}").unwrap_or_default();
}

fn method_text(out: &mut String, row: &Value, examples: &[&Example]) {
    let name = row["name"].as_str().unwrap_or_default();
    line(out, format_args!("\n#### `{name}`\n"));
    line(
        out,
        format_args!("{}", row["description"].as_str().unwrap_or_default()),
    );
    let scope = row["x-scope"].as_str().unwrap_or_default();
    let answer = type_of(&row["result"]["schema"]);
    line(out, format_args!("\nScope `{scope}`; answers {answer}."));
    let params = row["params"].as_array().filter(|params| !params.is_empty());
    if let Some(params) = params {
        out.push_str("\n| parameter | type | |\n|---|---|---|\n");
        for param in params {
            let (name, kind) = (
                param["name"].as_str().unwrap_or_default(),
                type_of(&param["schema"]),
            );
            let optional = match param["required"] == true {
                true => "",
                false => "*optional*; ",
            };
            let about = cell(param);
            line(
                out,
                format_args!("| `{name}` | {kind} | {optional}{about} |"),
            );
        }
    }
    for example in examples {
        let call = serde_json::json!({
            "jsonrpc": "2.0", "id": 1, "method": example.method, "params": example.params,
        });
        let answer = match (&example.result, &example.error) {
            (Some(result), _) => serde_json::json!({ "result": result }),
            (None, error) => serde_json::json!({ "error": error }),
        };
        let answer = serde_json::to_string_pretty(&answer).unwrap_or_default();
        line(out, format_args!("\n```jsonc\n// {call}\n{answer}\n```"));
    }
}

fn type_text(out: &mut String, name: &str, schema: &Value) {
    line(out, format_args!("\n### {name}\n"));
    line(
        out,
        format_args!("{}", schema["description"].as_str().unwrap_or_default()),
    );
    if let Some(properties) = schema["properties"].as_object().filter(|p| !p.is_empty()) {
        let required = schema["required"].as_array();
        let required = |name: &str| required.is_some_and(|names| names.iter().any(|n| n == name));
        out.push_str("\n| field | type | |\n|---|---|---|\n");
        for (name, schema) in properties {
            let kind = type_of(schema);
            let optional = if required(name) {
                ""
            } else {
                "*may be absent*; "
            };
            let about = cell(schema);
            line(
                out,
                format_args!("| `{name}` | {kind} | {optional}{about} |"),
            );
        }
    }
    let choices = schema["oneOf"].as_array().into_iter().flatten();
    for choice in choices {
        let word = choice.get("const").or_else(|| choice["enum"].get(0));
        let shown = word.map_or_else(|| type_of(choice), |word| format!("`{word}`"));
        line(out, format_args!("- {shown}: {}", cell(choice)));
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        line(out, format_args!("One of {}.", words.join(", ")));
    }
}

/// A description as a table's cell: one line.
fn cell(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.replace('\n', " ").replace('|', "\\|")
}

/// A schema in a word or a few.
fn type_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap_or(name);
        return format!("[{name}](#{})", name.to_lowercase());
    }
    for several in ["oneOf", "anyOf", "allOf"] {
        if let Some(choices) = schema[several].as_array() {
            let choices = choices.iter().filter(|choice| choice["type"] != "null");
            return choices.map(type_of).collect::<Vec<_>>().join(" or ");
        }
    }
    let word = |kind: &Value| match kind.as_str() {
        Some("array") => format!("list of {}", type_of(&schema["items"])),
        Some(kind) => kind.to_owned(),
        None => "any".to_owned(),
    };
    match schema["type"].as_array() {
        Some(kinds) => {
            let kinds = kinds.iter().filter(|kind| *kind != "null").map(word);
            kinds.collect::<Vec<_>>().join(" or ")
        }
        None => word(&schema["type"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::all;

    /// `LARDER_BLESS=1` writes it.
    #[test]
    fn the_committed_text_is_the_one_that_the_registry_gives() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rpc.md");
        let text = handbook(&examples().unwrap());
        if std::env::var_os("LARDER_BLESS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert!(
            std::fs::read_to_string(&path).unwrap() == text,
            "docs/rpc.md is not what the registry says: run this test with LARDER_BLESS=1 and look at the change"
        );
    }

    /// What was answered once is still what the types say: the vectors of requests and answers.
    #[test]
    fn every_example_reads_as_its_method_says() {
        for example in examples().unwrap() {
            let name = &example.method;
            let method = all().find(|method| method.name == name).unwrap();
            if let Some(result) = &example.result {
                (method.reads)(&result.to_string()).unwrap_or_else(|e| panic!("{name}: {e}"));
            } else {
                let error = example.error.as_ref().unwrap();
                let code = i32::try_from(error["code"].as_i64().unwrap()).unwrap();
                let code = crate::errors::Code::from_number(code).unwrap();
                assert_eq!(error["data"]["reason"], code.reason(), "{name}");
            }
        }
    }
}
