//! `larder wallet build|submit|decode|fee|tx`: transactions that are signed elsewhere.

use super::fate;
use super::offline::text;
use crate::cli::connect::Asked;
use crate::cli::exit::{FAILED, Failure};
use crate::cli::output::Out;
use larder_rpc::{
    BuildParams, Client, FeeParams, Nano, SignatureState, SubmitParams, Text, TxParams, TxState,
    WaitParams,
};
use larder_types::{Amount, Millis, TxId};
use serde_json::{Value, json};
use std::io;
use std::path::Path;

pub(super) async fn build(node: &Client, wanted: BuildParams, out: Out) -> Asked {
    let built = node.tx_build(&wanted).await?;
    let mut object = serde_json::to_value(&built).map_err(io::Error::from)?;
    object["message_type"] = "summary".into();
    out.object(&object)?;
    // The same for people: they hand it to `sign`.
    out.line(object)
}

/// The transaction in a file: as hex, or in a field of what `build` or `sign` printed.
fn transaction(file: &Path) -> Result<SubmitParams, Failure> {
    let text = text(file)?;
    let bare = text.trim();
    if bare.starts_with("0x") {
        return Ok(SubmitParams {
            tx: bare.to_owned(),
        });
    }
    let object: Option<Value> = serde_json::from_str(bare).ok();
    let found = object.as_ref().and_then(|object| {
        let field = |name| object.get(name).and_then(Value::as_str);
        field("signed").or_else(|| field("unsigned"))
    });
    let tx = found.map(str::to_owned).ok_or_else(|| {
        let file = file.display();
        let why = format_args!(
            "{file} holds no transaction, neither in hex nor as `larder wallet sign` prints it"
        );
        Failure::new(FAILED, why)
    })?;
    Ok(SubmitParams { tx })
}

pub(super) async fn submit(node: &Client, file: &Path, out: Out) -> Asked {
    let sent = node.tx_submit(&transaction(file)?).await?;
    out.object(&json!({
        "message_type": "summary",
        "tx": sent.tx,
        "status": sent.status,
        "height": sent.height,
    }))?;
    out.line(format_args!("{} ({})", fate(&sent), sent.tx))
}

pub(super) async fn decode(node: &Client, file: &Path, out: Out) -> Asked {
    let read = node.tx_decode(&transaction(file)?).await?;
    let mut object = serde_json::to_value(&read).map_err(io::Error::from)?;
    object["message_type"] = "summary".into();
    out.object(&object)?;
    out.line(format_args!("id         {}", read.tx))?;
    out.line(format_args!("kind       {}", read.kind))?;
    let signature = match read.signature {
        SignatureState::Good => "good",
        SignatureState::Bad => "missing or bad",
    };
    out.line(format_args!("signature  {signature}"))?;
    out.line(format_args!("fee        {}", read.fee.0))?;
    if let Some(why) = &read.refusal {
        out.line(format_args!("refused    {why}"))?;
    }
    let content = serde_json::to_string_pretty(&read.content).map_err(io::Error::from)?;
    out.line(content)
}

pub(super) async fn fee(node: &Client, amount: Amount, out: Out) -> Asked {
    let params = FeeParams {
        amount: Some(Nano(amount)),
        ..FeeParams::default()
    };
    let costs = node.tx_estimate_fee(&params).await?;
    out.object(&json!({
        "message_type": "summary",
        "fee": costs.fee.0.to_string(),
        "bytes": costs.bytes,
        "per_byte": costs.per_byte.0.to_string(),
    }))?;
    out.line(format_args!("{} credits", costs.fee.0))
}

pub(super) async fn show(node: &Client, tx: TxId, wait: Option<Millis>, out: Out) -> Asked {
    let tx = Text(tx);
    let shown = match wait {
        None => node.tx_get(&TxParams { tx }).await?,
        Some(wait) => {
            let seconds = u32::try_from(wait.0.div_ceil(1_000)).ok();
            node.tx_wait(&WaitParams { tx, seconds }).await?
        }
    };
    let mut object = serde_json::to_value(&shown).map_err(io::Error::from)?;
    object["message_type"] = "summary".into();
    out.object(&object)?;
    match (shown.status, shown.height) {
        (TxState::Included, Some(height)) => out.line(format_args!("in block {height}")),
        (TxState::Included, None) => out.line("in a block"),
        (TxState::Waiting, _) => out.line("waiting for a block"),
        (TxState::Unknown, _) => out.line("unknown: never seen here, refused, or expired"),
    }
}
