//! `larder wallet create|import|list|lock|unlock`: the wallets whose keys lie in the home.

use crate::cli::args::PassphraseArgs;
use crate::cli::connect::Asked;
use crate::cli::exit::Failure;
use crate::cli::output::Out;
use crate::cli::words;
use larder_rpc::client::all;
use larder_rpc::{
    Client, Secret, UnlockParams, WalletCreateParams, WalletImportParams, WalletParams,
    WalletShown, WalletState,
};
use larder_types::Millis;
use serde_json::{Value, json};
use std::path::Path;

const UNSEALED: &str = "it has no passphrase: whoever reads this disk can spend its credit";

fn chosen(args: &PassphraseArgs) -> Result<Option<Secret>, Failure> {
    if args.no_passphrase {
        return Ok(None);
    }
    let text = words::passphrase(args.passphrase_file.as_deref())?;
    Ok(Some(Secret::new(text.as_str())))
}

pub(super) async fn create(
    node: &Client,
    name: String,
    passphrase: &PassphraseArgs,
    out: Out,
) -> Asked {
    let params = WalletCreateParams {
        wallet: name,
        passphrase: chosen(passphrase)?,
    };
    let made = node.wallet_create(&params).await?;
    out.object(&json!({
        "message_type": "summary",
        "wallet": made.wallet,
        "account": made.account,
        "words": made.words.reveal(),
        "sealed": made.is_sealed,
    }))?;
    out.line(format_args!("wallet   {}", made.wallet))?;
    out.line(format_args!("account  {}", made.account))?;
    if !made.is_sealed {
        out.line(UNSEALED)?;
    }
    let warning = "\nThese words are the account: who has them has its credit. Write them on paper; they are shown \
                   once:\n";
    out.line(warning)?;
    out.line(made.words.reveal())
}

pub(super) async fn import(
    node: &Client,
    (name, words_file): (String, Option<&Path>),
    passphrase: &PassphraseArgs,
    out: Out,
) -> Asked {
    let text = words::text(words_file)?;
    let params = WalletImportParams {
        wallet: name,
        words: Secret::new(text.as_str()),
        passphrase: chosen(passphrase)?,
    };
    let made = node.wallet_import(&params).await?;
    show(&made, out)?;
    match made.state {
        WalletState::Open => out.line(UNSEALED),
        WalletState::Device | WalletState::Locked | WalletState::Unlocked => Ok(()),
    }
}

pub(super) async fn list(node: &Client, out: Out) -> Asked {
    let wallets = all(|page| async move { node.wallet_list(&page).await }).await?;
    wallets.iter().try_for_each(|wallet| show(wallet, out))
}

pub(super) async fn lock(node: &Client, name: String, out: Out) -> Asked {
    let params = WalletParams { wallet: Some(name) };
    show(&node.wallet_lock(&params).await?, out)
}

pub(super) async fn unlock(
    node: &Client,
    (name, how_long): (String, Millis),
    passphrase_file: Option<&Path>,
    out: Out,
) -> Asked {
    let passphrase = words::passphrase(passphrase_file)?;
    let params = UnlockParams {
        wallet: name,
        passphrase: Secret::new(passphrase.as_str()),
        seconds: Some(u32::try_from(how_long.0.div_ceil(1_000)).unwrap_or(u32::MAX)),
    };
    show(&node.wallet_unlock(&params).await?, out)
}

fn show(wallet: &WalletShown, out: Out) -> Asked {
    let mut object = json!({
        "message_type": "wallet",
        "wallet": wallet.wallet,
        "account": wallet.account,
        "state": wallet.state,
    });
    if let Some(until) = wallet.until {
        object["until"] = Value::String(until.to_string());
    }
    out.object(&object)?;
    let state = match wallet.state {
        WalletState::Device => "this device's, within its limit".to_owned(),
        WalletState::Open => "no passphrase".to_owned(),
        WalletState::Locked => "locked".to_owned(),
        WalletState::Unlocked => {
            let until = wallet.until.map(|until| until.to_string());
            format!("unlocked until {}", until.unwrap_or_default())
        }
    };
    out.line(format_args!(
        "{:<16} {}  {state}",
        wallet.wallet, wallet.account
    ))
}
