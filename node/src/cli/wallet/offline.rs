//! `larder wallet new` and `sign`: what needs no node and no home, so that the words may lie on a machine
//! that is never connected.

use crate::cli::connect::Asked;
use crate::cli::exit::{FAILED, Failure, WRONG_WORDS};
use crate::cli::output::Out;
use crate::cli::words;
use crate::shown::{from_hex, hex};
use larder_keys::{AccountSigner, Words};
use larder_ledger::{Transfer, Tx};
use larder_rpc::Unsigned;
use larder_types::codec;
use serde_json::json;
use std::io::{self, Read as _};
use std::path::Path;

/// A transaction as text is far shorter.
const LONGEST: u64 = 1 << 20;

/// Shows the account of new words, or of those in a file. Nothing is kept.
pub(super) fn new(words_file: Option<&Path>, out: Out) -> Asked {
    let (seed, fresh) = match words_file {
        Some(file) => (words::given(Some(file))?, None),
        None => {
            let words = Words::generate(&mut rand::rng());
            (words.seed(), Some(words.reveal()))
        }
    };
    let account = seed.account().account();
    let mut object = json!({ "message_type": "summary", "account": account.to_string() });
    if let Some(words) = &fresh {
        object["words"] = words.as_str().into();
    }
    out.object(&object)?;
    out.line(format_args!("account  {account}"))?;
    if let Some(words) = &fresh {
        let warning = "\nThese words are the account: who has them has its credit. Write them on paper; they \
                       are shown once:\n";
        out.line(warning)?;
        out.line(words.as_str())?;
    }
    Ok(())
}

/// A file, or standard input.
pub(super) fn text(file: &Path) -> Result<String, Failure> {
    if file.as_os_str() != "-" {
        return std::fs::read_to_string(file).map_err(|e| {
            Failure::new(FAILED, format_args!("cannot read {}: {e}", file.display()))
        });
    }
    let mut text = String::new();
    io::stdin().lock().take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// Signs what `build` printed. What is signed is what the transaction says, and that is shown first.
pub(super) fn sign(file: &Path, words_file: Option<&Path>, out: Out) -> Asked {
    let bad = |why: &str| {
        let mend = "give the file that `larder wallet build` printed";
        Failure::new(FAILED, format_args!("{}: {why}; {mend}", file.display()))
    };
    let mut shown: serde_json::Value =
        serde_json::from_str(&text(file)?).map_err(|e| bad(&e.to_string()))?;
    if let Some(fields) = shown.as_object_mut() {
        fields.remove("message_type");
    }
    let built: Unsigned = serde_json::from_value(shown).map_err(|e| bad(&e.to_string()))?;
    let genesis = built.genesis.0;
    let bytes = from_hex(&built.unsigned).ok_or_else(|| bad("`unsigned` is not in hex"))?;
    let tx = codec::decode::<Tx>(&bytes).map_err(|e| bad(&e.to_string()))?;
    let Tx::Transfer(transfer) = tx else {
        return Err(bad("it is no transfer"));
    };
    agree(&built, &transfer).map_err(bad)?;
    out.note(format_args!(
        "signing on the network {genesis}:\n  from    {}\n  to      {}\n  amount  {} credits\n  nonce   {}\n  good to block {}",
        transfer.from, transfer.to, transfer.amount, transfer.auth.nonce, transfer.auth.expiry
    ));
    let key = AccountSigner::own(words::given(words_file)?.account());
    let signed = transfer.signed_by(&key, &genesis).ok_or_else(|| {
        let why = format_args!(
            "these are the words of another account than {}",
            transfer.from
        );
        Failure::new(WRONG_WORDS, why)
    })?;
    let tx = Tx::Transfer(signed);
    let object = json!({
        "message_type": "summary",
        "tx": tx.id().to_string(),
        "from": transfer.from.to_string(),
        "to": transfer.to.to_string(),
        "amount": transfer.amount.to_string(),
        "signed": hex(&codec::encode(&tx)),
    });
    // The same for people: they hand it to `submit`.
    out.object(&object)?;
    out.line(object)
}

/// Whether what stands beside the transaction, for people, is what it says.
fn agree(built: &Unsigned, transfer: &Transfer) -> Result<(), &'static str> {
    let same = (built.from.0, built.to.0, built.amount.0)
        == (transfer.from, transfer.to, transfer.amount)
        && (built.nonce.0, built.expiry) == (transfer.auth.nonce, transfer.auth.expiry)
        && transfer.by.is_none();
    let payload = hex(&transfer.payload(&built.genesis.0));
    match (same, built.signing_payload == payload) {
        (false, _) => Err("the transaction says something else than what stands beside it"),
        (true, false) => Err("the signing payload is not that of the transaction"),
        (true, true) => Ok(()),
    }
}
