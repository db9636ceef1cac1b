//! `larder alerts`, `larder config`: what wants attention, and what can be set.

use super::args::ConfigCommand;
use super::connect::{Asked, ask};
use super::exit::{Failure, USAGE};
use super::output::Out;
use larder_rpc::client::all;
use larder_rpc::{Client, ConfigEntry, Empty, Form, SetConfigParams, Severity};
use serde_json::{Value, json};
use std::path::Path;

pub(super) fn alerts(home: &Path, out: Out) -> Asked {
    ask(home, |node| async move {
        let node = &node;
        let alerts = all(|page| async move { node.node_alerts(&page).await }).await?;
        for it in &alerts {
            out.object(&json!({
                "message_type": "alert",
                "code": it.code,
                "subject": it.subject,
                "severity": it.severity,
                "since": it.since,
                "cleared": it.cleared,
                "message": it.message,
            }))?;
            let state = match (it.cleared, it.severity) {
                (Some(_), _) => "cleared",
                (None, Severity::Warning) => "WARNING",
                (None, Severity::Critical) => "CRITICAL",
            };
            out.line(format_args!(
                "{state:<8} {}  {}: {}",
                it.since, it.code, it.message
            ))?;
        }
        let open = alerts
            .iter()
            .filter(|alert| alert.cleared.is_none())
            .count();
        out.object(&json!({ "message_type": "summary", "open": open }))?;
        match open {
            0 => out.remark("no alert is open"),
            _ => Ok(()),
        }
    })
}

pub(super) fn config(home: &Path, command: Option<ConfigCommand>, out: Out) -> Asked {
    ask(home, |node| async move {
        match command {
            None => list(&node, out).await,
            Some(ConfigCommand::Set { key, values }) => {
                let value = value(&node, &key, values).await?;
                set(&node, key, Some(value), out).await
            }
            Some(ConfigCommand::Unset { key }) => set(&node, key, None, out).await,
        }
    })
}

async fn list(node: &Client, out: Out) -> Asked {
    let config = node.node_config(&Empty {}).await?;
    for entry in &config.entries {
        let mut object = json!(entry);
        object["message_type"] = json!("entry");
        out.object(&object)?;
        out.line(line(entry))?;
    }
    out.object(&json!({
        "message_type": "summary",
        "path": config.path,
        "given": config.given,
    }))?;
    out.remark(format_args!("in {}", config.path))
}

fn line(entry: &ConfigEntry) -> String {
    let value = match (&entry.value, entry.set) {
        (Some(value), _) => value.to_string(),
        (None, true) => "(secret)".to_owned(),
        (None, false) => "-".to_owned(),
    };
    format!("{:<24} {value}", entry.key)
}

/// The value in the form that the key takes, by what the node says of it.
async fn value(node: &Client, key: &str, mut values: Vec<String>) -> Result<Value, Failure> {
    let config = node.node_config(&Empty {}).await?;
    let entry = config.entries.iter().find(|entry| entry.key == key);
    // Of a key that is none the node itself says so.
    let form = entry.map_or(Form::Text, |entry| entry.form);
    if form == Form::List {
        return Ok(json!(values));
    }
    let one = values.pop().filter(|_| values.is_empty());
    let one = one.ok_or_else(|| Failure::new(USAGE, format_args!("{key} takes one value")))?;
    match (form, one.parse::<bool>()) {
        (Form::Flag, Ok(flag)) => Ok(json!(flag)),
        (Form::Flag | Form::Text | Form::List | Form::Secret, _) => Ok(json!(one)),
    }
}

async fn set(node: &Client, key: String, value: Option<Value>, out: Out) -> Asked {
    let changed = node
        .node_set_config(&SetConfigParams { key, value })
        .await?;
    let mut object = json!(changed.entry);
    object["message_type"] = json!("summary");
    object["restart"] = json!(changed.restart);
    out.object(&object)?;
    out.line(line(&changed.entry))?;
    if changed.restart {
        out.line("start the node anew, and it counts")
    } else {
        Ok(())
    }
}
