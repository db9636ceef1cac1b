//! `rpc.discover`: the OpenRPC document, written from the registry that dispatches the calls.
//! <https://spec.open-rpc.org/>, version 1.3.2, with JSON Schema of draft 7 as it asks. It does not list
//! `rpc.discover` itself: a client generated from it would not compile with that dot in a name, and whoever reads it
//! has called it already.

use crate::api::{Method, all, namespaces};
use crate::errors::{Code, ErrorData};
use crate::feeds::{SUBSCRIPTIONS, Subscription};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The version of OpenRPC that the document follows.
const OPENRPC: &str = "1.3.2";
/// Where schemas that several methods use stand in it.
const SCHEMAS: &str = "/components/schemas";
/// The name of the method that answers it.
pub const DISCOVER: &str = "rpc.discover";

/// The whole document.
#[must_use]
pub fn document() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.definitions_path = SCHEMAS.into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut methods = Vec::new();
    for namespace in namespaces() {
        let tag = tag(namespace.name, namespace.about);
        let rows = namespace.methods.iter();
        methods.extend(rows.map(|method| called(method, &tag, &mut generator)));
    }
    for subscription in SUBSCRIPTIONS {
        methods.extend(subscribed(subscription, &mut generator));
    }
    generator.subschema_for::<ErrorData>();
    let mut schemas: Map<String, Value> = generator.take_definitions(true);
    entitle(&mut schemas);
    let mut document = json!({
        "openrpc": OPENRPC,
        "info": {
            "title": "Larder",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "servers": [{
            "name": "this machine",
            "url": "http://127.0.0.1:4730/rpc",
            "summary": "The address is the one that `larder up` prints, and `rpc.json` in its home.",
        }],
        "methods": methods,
        "components": { "schemas": schemas, "errors": errors() },
    });
    forget_widths(&mut document);
    document
}

/// Takes `uint32` and the like away: JSON Schema knows no such formats, and validators refuse what they do not know.
fn forget_widths(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let format = members.get("format").and_then(Value::as_str);
            if format.is_some_and(|format| format.contains("int") || format == "double") {
                members.remove("format");
            }
            members.values_mut().for_each(forget_widths);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_widths),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

const DESCRIPTION: &str = "Show the content of the home's file `cookie`, or a token of \
    auth_createToken, as `Authorization: Bearer …`. Amounts are decimal strings in nano (10^9 are one \
    credit), bytes are `0x` and hex, times are RFC 3339. Parameters are by name or by position; \
    unknown ones are refused. Lists come in pages: hand `nextCursor` back as `cursor`. \
    Subscriptions need the WebSocket at the same address.";

/// Generated code takes its types' names from titles, and has a type for each method too: `NodeInfo` is that of
/// `node_info`.
fn entitle(schemas: &mut Map<String, Value>) {
    let methods: Vec<String> = all().map(|method| type_name(method.name)).collect();
    for (name, schema) in schemas.iter_mut() {
        let Some(schema) = schema.as_object_mut() else {
            continue;
        };
        let title = match methods.contains(name) {
            true => format!("{name}Result"),
            false => name.clone(),
        };
        schema.entry("title").or_insert_with(|| title.into());
    }
}

fn type_name(method: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    method.split('_').map(capital).collect()
}

fn tag(name: &str, about: &str) -> Value {
    json!({ "name": name, "description": about.trim() })
}

fn called(method: &Method, tag: &Value, generator: &mut SchemaGenerator) -> Value {
    let params = params(method, generator);
    let result = (method.result)(generator).to_value();
    let area = area(method.name);
    let errors: Vec<Value> = Code::ALL
        .iter()
        .filter(|code| concerns(**code, area))
        .map(|code| json!({ "$ref": format!("#/components/errors/{}", code.reason()) }))
        .collect();
    let text = method.text();
    json!({
        "name": method.name,
        "summary": text.split(". ").next().unwrap_or(&text).trim_end_matches('.'),
        "description": text,
        "tags": [tag],
        "paramStructure": "either",
        "params": params,
        "result": { "name": "result", "required": true, "schema": result },
        "errors": errors,
        "x-scope": method.scope,
    })
}

/// A subscription is three rows: what begins it, what its notices bring, what ends it.
fn subscribed(row: &Subscription, generator: &mut SchemaGenerator) -> [Value; 2] {
    let area = area(row.method.name);
    let about = namespaces().find(|namespace| namespace.name == area);
    let tag = tag(area, about.map_or("", |namespace| namespace.about));
    let mut begin = called(&row.method, &tag, generator);
    let brings = std::mem::replace(
        &mut begin["result"],
        json!({
            "name": "subscription",
            "required": true,
            "schema": { "type": ["string", "integer"], "description": "names it in its notices" },
        }),
    );
    begin["x-notification"] = json!({ "method": row.notice, "result": brings["schema"] });
    begin["x-unsubscribe"] = json!(row.leave);
    let end = json!({
        "name": row.leave,
        "summary": format!("Ends a subscription of {}", row.method.name),
        "description": format!("Ends a subscription of {}.", row.method.name),
        "tags": [tag],
        "paramStructure": "by-position",
        "params": [{
            "name": "subscription",
            "required": true,
            "schema": { "type": ["string", "integer"] },
        }],
        "result": {
            "name": "ended",
            "required": true,
            "schema": { "type": "boolean", "description": "whether there was such a one" },
        },
        "x-scope": row.method.scope,
    });
    [begin, end]
}

/// The parameters as content descriptors, in the order in which they go by position.
fn params(method: &Method, generator: &mut SchemaGenerator) -> Vec<Value> {
    let schema = (method.params)(generator).to_value();
    let whole = match schema.get("$ref").and_then(Value::as_str) {
        Some(name) => {
            let name = name.rsplit('/').next().unwrap_or_default();
            generator.definitions().get(name).cloned()
        }
        None => Some(schema),
    };
    let whole = whole.unwrap_or_default();
    let required: Vec<&str> = whole["required"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let Some(properties) = whole["properties"].as_object() else {
        return Vec::new();
    };
    (method.fields)()
        .iter()
        .filter_map(|name| Some((*name, properties.get(*name)?)))
        .map(|(name, schema)| {
            let mut schema = schema.clone();
            let about = schema
                .as_object_mut()
                .and_then(|schema| schema.remove("description"));
            let mut row = json!({
                "name": name,
                "required": required.contains(&name),
                "schema": schema,
            });
            if let Some(about) = about {
                row["description"] = about;
            }
            row
        })
        .collect()
}

fn area(method: &str) -> &str {
    method.split('_').next().unwrap_or_default()
}

/// Which errors a method of a namespace may answer: those of its area, and those that any may.
fn concerns(code: Code, area: &str) -> bool {
    let hundreds: &[i32] = match area {
        "chain" | "ledger" | "network" => &[1_000],
        "tx" | "wallet" => &[1_000, 1_100],
        "market" => &[1_200],
        "provider" => &[1_000, 1_200, 1_300],
        "renter" => &[1_000, 1_200],
        "backup" | "job" => &[1_200, 1_300, 1_400],
        _ => &[],
    };
    let row = code.number() / 100 * 100;
    row >= 1_500 || hundreds.contains(&row)
}

fn errors() -> Value {
    let mut rows = Map::new();
    for code in Code::ALL {
        rows.insert(
            code.reason().to_owned(),
            json!({
                "code": code.number(),
                "message": code.about().trim(),
                "data": { "reason": code.reason(), "retryable": code.retryable() },
            }),
        );
    }
    Value::Object(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// The committed copy is what is answered: a change shows in review. `LARDER_BLESS=1` writes it.
    #[test]
    fn the_committed_document_is_the_one_that_is_answered() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openrpc.json");
        let mut text = serde_json::to_string_pretty(&document()).unwrap();
        text.push('\n');
        if std::env::var_os("LARDER_BLESS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap();
        assert!(
            committed == text,
            "docs/openrpc.json is not what the registry says: run this test with LARDER_BLESS=1 and look at the change"
        );
    }

    /// By position, parameters go in the order in which the type declares them; OpenRPC wants those that may be
    /// absent last.
    #[test]
    fn parameters_stand_in_their_order() {
        let document = document();
        let methods = document["methods"].as_array().unwrap();
        for method in all() {
            let row = methods.iter().find(|row| row["name"] == method.name);
            let params = row.unwrap()["params"].as_array().unwrap();
            let names: Vec<&str> = params.iter().map(|p| p["name"].as_str().unwrap()).collect();
            assert_eq!(names, (method.fields)(), "{}", method.name);
            let is_sorted = params.is_sorted_by_key(|param| param["required"] == false);
            assert!(is_sorted, "{}: what may be absent stands last", method.name);
        }
    }

    #[test]
    fn every_method_is_in_it_and_every_reference_leads_somewhere() {
        let document = document();
        let names: Vec<&str> = document["methods"]
            .as_array()
            .unwrap()
            .iter()
            .map(|method| method["name"].as_str().unwrap())
            .collect();
        for method in all() {
            assert!(names.contains(&method.name), "{}", method.name);
        }
        let mut at = vec![&document];
        while let Some(value) = at.pop() {
            if let Some(reference) = value.get("$ref").and_then(Value::as_str)
                && let Some(pointer) = reference.strip_prefix('#')
            {
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
            match value {
                Value::Array(items) => at.extend(items),
                Value::Object(members) => at.extend(members.values()),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
    }
}
