//! `larder init`: an identity, a config, and the words shown once.

use super::args::InitArgs;
use super::exit::Failure;
use super::options::{InitOptions, Network};
use super::output::Out;
use super::words;
use serde_json::json;
use std::path::Path;

pub(super) fn init(home: &Path, args: InitArgs, out: Out) -> Result<(), Failure> {
    let words = args.words_file.as_deref().map(words::read).transpose()?;
    let are_new = words.is_none();
    let network = match args.join {
        Some(invite) => Network::Join { invite },
        None => Network::New {
            profile: args.profile,
            epoch: args.epoch,
            consensus: args.consensus.into(),
        },
    };
    let made = crate::home::init(home, InitOptions { network, words })
        .map_err(|e| Failure::new(e.exit_code(), e))?;
    out.object(&json!({
        "message_type": "summary",
        "account": made.account.to_string(),
        "peer_id": made.peer_id,
        "words": made.words.as_str(),
    }))?;
    out.line(format_args!("home     {}", home.display()))?;
    out.line(format_args!("account  {}", made.account))?;
    out.line(format_args!("peer     {}", made.peer_id))?;
    if are_new {
        out.line(
            "\nThese words are the only way back to your data. Write them on paper; they are \
             shown once:\n",
        )?;
        out.line(made.words.as_str())?;
    }
    Ok(())
}
