//! The words of `larder wallet`.

use clap::{Args, Subcommand};
use larder_proofs::Checkpoint;
use larder_types::amount::ParseAmountError;
use larder_types::{AccountId, Amount, Millis, TxId};
use std::path::PathBuf;
use std::str::FromStr;

#[derive(Debug, Subcommand)]
pub(crate) enum WalletCommand {
    /// Print a wallet's account.
    Address {
        #[command(flatten)]
        wallet: WalletArg,
    },
    /// Print what a wallet can spend.
    Balance {
        #[command(flatten)]
        wallet: WalletArg,
    },
    /// Pay an account.
    #[command(
        after_help = "Examples:\n  larder wallet send zAccount… 12.5\n  larder wallet send zAccount… 12.5 --wallet shop"
    )]
    Send {
        /// The account that receives.
        to: AccountId,
        /// How many credits.
        amount: Amount,
        #[command(flatten)]
        wallet: WalletArg,
        /// A file with the 24 words, for what is beyond this device's limit.
        #[arg(long)]
        words_file: Option<PathBuf>,
    },
    /// Show what this device may spend in an epoch, or set it with the words.
    #[command(
        after_help = "Examples:\n  larder wallet limit\n  larder wallet limit 20 --words-file words.txt\n  larder wallet limit none"
    )]
    Limit {
        /// Credits in an epoch, or `none` for no limit.
        limit: Option<LimitArg>,
        /// A file with the 24 words; asked for without it.
        #[arg(long, requires = "limit")]
        words_file: Option<PathBuf>,
    },
    /// List the movements of an account's credit, newest first.
    History {
        #[command(flatten)]
        wallet: WalletArg,
        /// Any account, where the node keeps everybody's history (`[rpc] history = "all"`).
        #[arg(long, conflicts_with = "wallet")]
        account: Option<AccountId>,
        /// At most so many.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Check an account's balance down to the validators' signatures, trusting no node.
    #[command(
        after_help = "Examples:\n  larder wallet verify\n  larder wallet verify zAccount…\n  larder wallet verify --rpc http://127.0.0.1:4730 --cookie /home/anna/larder/cookie\n  larder wallet verify --checkpoint 812:zBlock…"
    )]
    Verify(VerifyArgs),
    /// Make a new account, or show the one of given words. Needs no node and keeps nothing.
    New {
        /// A file with 24 words, instead of new ones.
        #[arg(long)]
        words_file: Option<PathBuf>,
    },
    /// Build a transfer for a key that lies elsewhere, and print it as JSON.
    #[command(
        after_help = "Example, with the words on another machine:\n  larder wallet build zTo… 5 --from zFrom… > transfer.json\n  larder wallet sign --tx transfer.json --words-file words.txt > signed.json\n  larder wallet submit signed.json"
    )]
    Build {
        /// The account that receives.
        to: AccountId,
        /// How many credits.
        amount: Amount,
        /// The account that pays; the home's without it.
        #[arg(long)]
        from: Option<AccountId>,
        /// The last block that may hold it.
        #[arg(long, value_name = "HEIGHT")]
        expiry: Option<u64>,
        /// Its nonce.
        #[arg(long, value_name = "N")]
        nonce: Option<u64>,
    },
    /// Sign a transfer that `build` printed, with the 24 words; says what it is first. Needs no node.
    Sign {
        /// The file that `build` printed; `-`: standard input.
        #[arg(long, alias = "payload", value_name = "FILE")]
        tx: PathBuf,
        /// A file with the 24 words; asked for without it.
        #[arg(long)]
        words_file: Option<PathBuf>,
    },
    /// Have a signed transaction sent until a block holds it.
    Submit {
        /// The file that `sign` printed; `-`: standard input.
        file: PathBuf,
    },
    /// Show what a transaction says, and whether it is good.
    Decode {
        /// A file that `build` or `sign` printed, or a transaction in hex; `-`: standard input.
        file: PathBuf,
    },
    /// Show what a transfer costs.
    Fee {
        /// How many credits it moves.
        amount: Amount,
    },
    /// Show where a transaction is.
    Tx {
        /// Its id.
        tx: TxId,
        /// Wait until it is in a block, at most so long.
        #[arg(long, value_name = "DURATION")]
        wait: Option<Millis>,
    },
    /// Make a wallet beside the home's own: a new account, whose words are shown once.
    Create {
        /// Its name.
        name: String,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Take an account in as a wallet, from its 24 words.
    Import {
        /// Its name.
        name: String,
        /// A file with the words; asked for without it.
        #[arg(long)]
        words_file: Option<PathBuf>,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// List the home's wallets.
    List,
    /// Forget a wallet's key until it is unlocked again.
    Lock {
        /// Its name.
        name: String,
    },
    /// Have a wallet's key in the node's memory for a while.
    Unlock {
        /// Its name.
        name: String,
        /// For how long.
        #[arg(long = "for", value_name = "DURATION", default_value = "5m")]
        how_long: Millis,
        /// A file with its passphrase; asked for without it.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
}

/// Which wallet.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WalletArg {
    /// Which wallet; the home's own account without it.
    #[arg(long, value_name = "NAME")]
    pub(crate) wallet: Option<String>,
}

/// What a key file is sealed under.
#[derive(Debug, Clone, Args)]
pub(crate) struct PassphraseArgs {
    /// A file with a passphrase for it; asked for without it.
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Have none: whoever reads this disk can spend.
    #[arg(long, conflicts_with = "passphrase_file")]
    pub(crate) no_passphrase: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct VerifyArgs {
    /// The account; the home's without it.
    pub(crate) account: Option<AccountId>,
    /// A block that somebody you trust names, HEIGHT:HASH: what this home trusted is older than 14 days.
    #[arg(long, value_name = "HEIGHT:HASH")]
    pub(crate) checkpoint: Option<Checkpoint>,
    /// Ask the node at this address instead of the home's own.
    #[arg(long, value_name = "URL")]
    pub(crate) rpc: Option<String>,
    /// That node's cookie file.
    #[arg(long, value_name = "FILE", requires = "rpc")]
    pub(crate) cookie: Option<PathBuf>,
}

/// What a device may spend in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitArg {
    /// All there is.
    None,
    /// So much.
    Credits(Amount),
}

impl FromStr for LimitArg {
    type Err = ParseAmountError;

    fn from_str(s: &str) -> Result<Self, ParseAmountError> {
        match s {
            "none" => Ok(Self::None),
            _ => s.parse().map(Self::Credits),
        }
    }
}
