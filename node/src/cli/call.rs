//! `larder call`: any method of the RPC by name, and subscriptions.

use super::args::CallArgs;
use super::connect::{Asked, ask};
use super::exit::{Failure, USAGE};
use super::output::Out;
use larder_rpc::feeds::SUBSCRIPTIONS;
use serde_json::Value;
use std::io::Read as _;
use std::path::Path;

pub(super) fn call(home: &Path, args: CallArgs, out: Out) -> Asked {
    let params = params(args.params.as_deref())?;
    let row = SUBSCRIPTIONS
        .iter()
        .find(|row| row.method.name == args.method);
    ask(home, |node| async move {
        let Some(row) = row else {
            let answer: Value = node.call(&args.method, &params).await?;
            return print(&answer, out);
        };
        let mut notices = node.subscribe(row, &params).await?;
        while let Some(notice) = notices.next().await? {
            print(&notice, out)?;
        }
        Ok(())
    })
}

/// The answer itself: with `--json` in one line.
fn print(answer: &Value, out: Out) -> Asked {
    let text = match out.json {
        true => format!("{answer}\n"),
        false => format!("{answer:#}\n"),
    };
    out.raw(text.as_bytes())
}

fn params(given: Option<&str>) -> Result<Value, Failure> {
    let text = match given {
        None => return Ok(Value::Array(Vec::new())),
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            text
        }
        Some(text) => text.to_owned(),
    };
    let params: Value = serde_json::from_str(&text).map_err(|e| {
        Failure::new(
            USAGE,
            format_args!("the parameters are no JSON ({e}): write them as '{{\"account\":\"z…\"}}' or '[\"z…\"]'"),
        )
    })?;
    match params {
        Value::Object(_) | Value::Array(_) => Ok(params),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Err(Failure::new(
            USAGE,
            "the parameters are an object or a list: '{\"account\":\"z…\"}' or '[\"z…\"]'",
        )),
    }
}
