//! The words of `larder call` and `larder token`.

use clap::{Args, Subcommand, ValueEnum};
use larder_rpc::Scope;
use larder_types::Millis;

/// What to call.
#[derive(Debug, Clone, Args)]
pub(crate) struct CallArgs {
    /// The method's name, as `docs/rpc.md` has it.
    #[arg(value_name = "METHOD")]
    pub(crate) method: String,
    /// Its parameters in JSON, by name or by position; `-`: from standard input.
    #[arg(value_name = "PARAMS")]
    pub(crate) params: Option<String>,
}

/// What a token's bearer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScopeArg {
    /// See the chain, the ledger, the market and how the node is.
    Read,
    /// Spend, too.
    Wallet,
    /// Everything.
    Admin,
}

impl From<ScopeArg> for Scope {
    fn from(scope: ScopeArg) -> Self {
        match scope {
            ScopeArg::Read => Self::Read,
            ScopeArg::Wallet => Self::Wallet,
            ScopeArg::Admin => Self::Admin,
        }
    }
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token, and show it once.
    #[command(
        after_help = "Examples:\n  larder token add dashboard\n  larder token add shop --scope wallet --method wallet_send --method tx_wait --lasts 30d"
    )]
    Add(TokenArgs),
    /// List the tokens there are.
    List,
    /// Take a token back, at once.
    Revoke {
        /// Its id, as `larder token list` shows it.
        id: String,
    },
}

/// What a new token is for.
#[derive(Debug, Clone, Args)]
pub(crate) struct TokenArgs {
    /// What it is called.
    pub(crate) name: String,
    /// What its bearer may do.
    #[arg(long, value_enum, default_value = "read")]
    pub(crate) scope: ScopeArg,
    /// Open this method only; may be given again.
    #[arg(long = "method", value_name = "METHOD")]
    pub(crate) methods: Vec<String>,
    /// Calls a second, at most.
    #[arg(long, value_name = "N")]
    pub(crate) rate: Option<u32>,
    /// End it after this time, `30d`.
    #[arg(long, value_name = "DURATION")]
    pub(crate) lasts: Option<Millis>,
}
