//! `larder class` and `larder exclude`: what holds per folder.

use super::args::{ClassCommand, ExcludeCommand};
use super::backup::absolute;
use super::connect::{Asked, ask};
use super::exit::{FAILED, Failure};
use super::output::Out;
use larder_rpc::client::all;
use larder_rpc::{Client, Policy, SetPolicyParams, Text};
use serde_json::json;
use std::path::Path;

pub(super) fn class(home: &Path, command: ClassCommand, out: Out) -> Asked {
    let (path, class) = match &command {
        ClassCommand::List => {
            return ask(home, |node| async move { list_classes(&node, out).await });
        }
        ClassCommand::Set { path, class } => (absolute(path)?, Some(Text(*class))),
        ClassCommand::Unset { path } => (absolute(path)?, None),
    };
    ask(home, |node| async move {
        let old = of_path(&node, &path).await?;
        if class.is_none() && old.class.is_none() {
            return Err(Failure::new(
                FAILED,
                format_args!(
                    "{path} has no class of its own: `larder class list` shows which have"
                ),
            ));
        }
        set(&node, Policy { class, ..old }, out).await
    })
}

pub(super) fn exclude(home: &Path, command: ExcludeCommand, out: Out) -> Asked {
    match command {
        ExcludeCommand::List { path } => {
            let path = path.as_ref().map(absolute).transpose()?;
            ask(
                home,
                |node| async move { list_excludes(&node, path, out).await },
            )
        }
        ExcludeCommand::Add { globs, path } => {
            let path = absolute(&path)?;
            ask(home, |node| async move {
                let mut policy = of_path(&node, &path).await?;
                policy.excludes.retain(|glob| !globs.contains(glob));
                policy.excludes.extend(globs);
                set(&node, policy, out).await
            })
        }
        ExcludeCommand::Remove { globs, path } => {
            let path = absolute(&path)?;
            ask(home, |node| async move {
                let mut policy = of_path(&node, &path).await?;
                let unknown = globs.iter().find(|glob| !policy.excludes.contains(glob));
                if let Some(glob) = unknown {
                    return Err(Failure::new(
                        FAILED,
                        format_args!(
                            "{glob} is not left out of {path}: `larder exclude list` shows what is"
                        ),
                    ));
                }
                policy.excludes.retain(|glob| !globs.contains(glob));
                set(&node, policy, out).await
            })
        }
    }
}

async fn policies(node: &Client) -> Result<Vec<Policy>, Failure> {
    Ok(all(|page| async move { node.backup_list_policies(&page).await }).await?)
}

/// What is set for a path; perhaps nothing.
async fn of_path(node: &Client, path: &str) -> Result<Policy, Failure> {
    let trimmed = path.trim_end_matches('/');
    let path = if trimmed.is_empty() { "/" } else { trimmed };
    let known = policies(node).await?.into_iter().find(|p| p.path == path);
    Ok(known.unwrap_or_else(|| Policy {
        path: path.to_owned(),
        class: None,
        excludes: Vec::new(),
    }))
}

async fn set(node: &Client, policy: Policy, out: Out) -> Asked {
    let Policy {
        path,
        class,
        excludes,
    } = policy;
    let params = SetPolicyParams {
        path,
        class,
        excludes,
    };
    let set = node.backup_set_policy(&params).await?;
    object(&set, "summary", out)?;
    out.line(line(&set))
}

fn object(policy: &Policy, message_type: &str, out: Out) -> Asked {
    out.object(&json!({
        "message_type": message_type,
        "path": policy.path,
        "class": policy.class,
        "excludes": policy.excludes,
    }))
}

fn line(policy: &Policy) -> String {
    let class = policy
        .class
        .map_or("-".to_owned(), |class| class.to_string());
    let without = match policy.excludes.join(" ") {
        none if none.is_empty() => none,
        globs => format!("  without {globs}"),
    };
    format!("{class:<9} {}{without}", policy.path)
}

async fn list_classes(node: &Client, out: Out) -> Asked {
    let mut policies = policies(node).await?;
    policies.retain(|policy| policy.class.is_some());
    for policy in &policies {
        object(policy, "policy", out)?;
        let class = policy
            .class
            .map_or(String::new(), |class| class.to_string());
        out.line(format_args!("{class:<9} {}", policy.path))?;
    }
    out.object(&json!({ "message_type": "summary", "paths": policies.len() }))?;
    match policies.len() {
        0 => out
            .remark("no path has a class of its own: backups are normal unless they say otherwise"),
        _ => Ok(()),
    }
}

async fn list_excludes(node: &Client, path: Option<String>, out: Out) -> Asked {
    let mut policies = policies(node).await?;
    policies.retain(|policy| !policy.excludes.is_empty());
    policies.retain(|policy| path.as_ref().is_none_or(|path| *path == policy.path));
    let globs = policies.iter().map(|policy| policy.excludes.len());
    let globs: usize = globs.sum();
    for policy in &policies {
        object(policy, "policy", out)?;
        for glob in &policy.excludes {
            out.line(format_args!("{}  {glob}", policy.path))?;
        }
    }
    out.object(&json!({ "message_type": "summary", "globs": globs }))?;
    match globs {
        0 => out.remark("nothing is left out but caches, temporary files and trash"),
        _ => Ok(()),
    }
}
