//! Who calls, and what they may: programs of this user by the cookie, others by bearer tokens. A
//! token is told once; the home keeps only its BLAKE3 hash, in `tokens.json` (mode 0600).

use crate::errors::{Code, RpcError};
use crate::types::auth::{TokenParams, TokenShown};
use crate::values::Moment;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use larder_types::Time;
use rand::Rng as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::num::NonZeroU32;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use zeroize::Zeroizing;

/// What every token begins with, so that a search for leaked secrets finds it.
const PREFIX: &str = "larder_";
/// Tokens at once: each program and each person that needs one.
const MAX_TOKENS: usize = 256;
/// Calls a second, unless the token says otherwise: far above any person's or dashboard's need.
pub const CALLS_PER_SECOND: u32 = 1_000;

/// What a caller may do. Each scope holds those before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// See the chain, the ledger, the market and how the node is.
    Read,
    /// Spend: send credit, submit transactions, open wallets.
    Wallet,
    /// Everything: files, offers, settings, tokens.
    Admin,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Wallet => "wallet",
            Self::Admin => "admin",
        })
    }
}

/// Who calls.
#[derive(Debug, Clone)]
pub enum Caller {
    /// A program that can read the home's cookie: its owner's, and so unlimited.
    Owner,
    /// The bearer of a token.
    Bearer(Arc<Token>),
}

/// A token as it counts while the node runs.
pub struct Token {
    record: Record,
    rate: DefaultDirectRateLimiter,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Token").field(&self.record.id).finish()
    }
}

/// A token as `tokens.json` has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Record {
    /// BLAKE3 of the token, in hex.
    hash: String,
    id: String,
    name: String,
    scope: Scope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    methods: Option<Vec<String>>,
    calls_per_second: NonZeroU32,
    created: Moment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Moment>,
}

impl Caller {
    /// Whether this caller may call `method`, which needs `scope`.
    ///
    /// # Errors
    /// [`Code::Forbidden`] or [`Code::TooFast`].
    pub(crate) fn may(&self, method: &str, scope: Scope) -> Result<(), RpcError> {
        let Self::Bearer(token) = self else {
            return Ok(());
        };
        let record = &token.record;
        if record.scope < scope {
            let why = format_args!(
                "{method} needs the scope `{scope}`, and this token has `{}`: ask the node's owner for \
                 one that has it",
                record.scope
            );
            return Err(RpcError::new(Code::Forbidden, why));
        }
        let named = record
            .methods
            .as_ref()
            .is_none_or(|allowed| allowed.iter().any(|name| name == method));
        if !named {
            let why = format_args!("this token is for other methods than {method}");
            return Err(RpcError::new(Code::Forbidden, why));
        }
        token.rate.check().map_err(|_| {
            let why = format_args!(
                "more than {} calls a second: wait a little and call again",
                record.calls_per_second
            );
            RpcError::new(Code::TooFast, why)
        })
    }

    /// The token, if it calls by one.
    pub(crate) fn token(&self) -> Option<TokenShown> {
        match self {
            Self::Owner => None,
            Self::Bearer(token) => Some(token.record.shown()),
        }
    }
}

impl Record {
    fn is_over(&self, now: Time) -> bool {
        self.expires.is_some_and(|end| end.0 <= now)
    }

    fn shown(&self) -> TokenShown {
        TokenShown {
            id: self.id.clone(),
            name: self.name.clone(),
            scope: self.scope,
            methods: self.methods.clone(),
            calls_per_second: self.calls_per_second.get(),
            created: self.created,
            expires: self.expires,
        }
    }

    fn live(self) -> Arc<Token> {
        let rate = RateLimiter::direct(Quota::per_second(self.calls_per_second));
        Arc::new(Token { record: self, rate })
    }
}

/// The home's tokens, by hash.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    live: RwLock<BTreeMap<String, Arc<Token>>>,
}

/// Where a home keeps its tokens.
#[must_use]
pub fn tokens_path(home: &Path) -> PathBuf {
    home.join("tokens.json")
}

impl Tokens {
    /// Reads the tokens kept at `path`; none if there is no such file.
    ///
    /// # Errors
    /// If the file is there and cannot be read or makes no sense.
    pub fn open(path: &Path) -> io::Result<Self> {
        let records: Vec<Record> = match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(e),
        };
        let live = records
            .into_iter()
            .map(|record| (record.hash.clone(), record.live()));
        Ok(Self {
            path: path.to_owned(),
            live: RwLock::new(live.collect()),
        })
    }

    /// Whose token this is. Looking up a hash of 256 random bits tells nothing by its timing.
    pub(crate) fn bearer(&self, shown: &str, now: Time) -> Option<Caller> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let token = live.get(&hash(shown))?;
        (!token.record.is_over(now)).then(|| Caller::Bearer(Arc::clone(token)))
    }

    /// Makes a token; the text is told here and never again. It counts once it is on the disk.
    ///
    /// # Errors
    /// [`Code::BadValue`], [`Code::TooManyTokens`], or [`Code::Internal`] if it cannot be written.
    pub(crate) fn create(
        &self,
        params: TokenParams,
        now: Time,
    ) -> Result<(Zeroizing<String>, TokenShown), RpcError> {
        let rate = params.calls_per_second.unwrap_or(CALLS_PER_SECOND);
        let calls_per_second = NonZeroU32::new(rate).ok_or_else(|| {
            RpcError::new(Code::BadValue, "callsPerSecond is 1 or more, or left out")
        })?;
        if params.expires.is_some_and(|end| end.0 <= now) {
            return Err(RpcError::new(Code::BadValue, "expires lies in the past"));
        }
        let mut bytes = Zeroizing::new([0u8; 32]);
        rand::rng().fill_bytes(&mut *bytes);
        let text = Zeroizing::new(format!("{PREFIX}{}", *Zeroizing::new(hex::encode(*bytes))));
        let hash = hash(&text);
        let record = Record {
            id: hash[..12].to_owned(),
            hash,
            name: params.name,
            scope: params.scope,
            methods: params.methods,
            calls_per_second,
            created: Moment(now),
            expires: params.expires,
        };
        let shown = record.shown();
        self.change(|live| {
            live.retain(|_, token| !token.record.is_over(now));
            if live.len() >= MAX_TOKENS {
                let why = format!("{MAX_TOKENS} tokens are the most: revoke one that nobody uses");
                return Err(RpcError::new(Code::TooManyTokens, why));
            }
            live.insert(record.hash.clone(), record.live());
            Ok(())
        })?;
        Ok((text, shown))
    }

    /// Takes a token back, from the next call on.
    ///
    /// # Errors
    /// [`Code::NoToken`], or [`Code::Internal`] if that cannot be written.
    pub(crate) fn revoke(&self, id: &str) -> Result<(), RpcError> {
        self.change(|live| {
            let before = live.len();
            live.retain(|_, token| token.record.id != id);
            if live.len() == before {
                let why = format!("no token {id}: auth_listTokens shows which there are");
                return Err(RpcError::new(Code::NoToken, why));
            }
            Ok(())
        })
    }

    /// The tokens, oldest first.
    pub(crate) fn list(&self) -> Vec<TokenShown> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let mut shown: Vec<_> = live.values().map(|token| token.record.shown()).collect();
        shown.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        shown
    }

    /// Whether a caller's token still counts, for connections that outlast a call.
    pub(crate) fn counts(&self, caller: &Caller, now: Time) -> bool {
        let Caller::Bearer(token) = caller else {
            return true;
        };
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.contains_key(&token.record.hash) && !token.record.is_over(now)
    }

    /// Changes the tokens: whole, on the disk, or not at all.
    fn change(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, Arc<Token>>) -> Result<(), RpcError>,
    ) -> Result<(), RpcError> {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = live.clone();
        change(&mut next)?;
        let records: Vec<&Record> = next.values().map(|token| &token.record).collect();
        write(&self.path, &records).map_err(|e| {
            let why = format!("cannot write {}: {e}", self.path.display());
            RpcError::new(Code::Internal, why)
        })?;
        *live = next;
        Ok(())
    }
}

fn hash(token: &str) -> String {
    blake3::hash(token.as_bytes()).to_hex().to_string()
}

fn write(path: &Path, records: &[&Record]) -> io::Result<()> {
    let fresh = path.with_extension("json.new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(&serde_json::to_vec_pretty(records)?)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    // Or a token that was revoked could be back after a power cut.
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const NOW: Time = Time(1_700_000_000_000);

    fn wanted(scope: Scope) -> TokenParams {
        TokenParams {
            name: "dashboard".into(),
            scope,
            methods: None,
            calls_per_second: None,
            expires: None,
        }
    }

    fn open() -> (tempfile::TempDir, Tokens) {
        let home = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(&tokens_path(home.path())).unwrap();
        (home, tokens)
    }

    #[test]
    fn a_token_is_kept_as_its_hash_and_outlives_a_restart_until_it_is_revoked() {
        let (home, tokens) = open();
        let (text, shown) = tokens.create(wanted(Scope::Read), NOW).unwrap();
        let path = tokens_path(home.path());
        assert!(
            !fs::read_to_string(&path)
                .unwrap()
                .contains(&text[PREFIX.len()..])
        );
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let tokens = Tokens::open(&path).unwrap();
        assert_eq!(tokens.list(), std::slice::from_ref(&shown));
        let caller = tokens.bearer(&text, NOW).unwrap();
        assert!(tokens.bearer(&text[1..], NOW).is_none());
        assert!(tokens.counts(&caller, NOW));
        tokens.revoke(&shown.id).unwrap();
        assert!(!tokens.counts(&caller, NOW));
        assert_eq!(tokens.revoke(&shown.id).unwrap_err().code, Code::NoToken);
        assert!(tokens.bearer(&text, NOW).is_none());
        assert!(Tokens::open(&path).unwrap().list().is_empty());
    }

    #[test]
    fn a_token_opens_its_scope_its_methods_and_its_time_and_no_more() {
        let (_home, tokens) = open();
        let may = |caller: &Caller, method, scope| {
            let refused = caller.may(method, scope);
            refused.map_err(|e| e.code)
        };
        let (text, _) = tokens.create(wanted(Scope::Wallet), NOW).unwrap();
        let caller = tokens.bearer(&text, NOW).unwrap();
        assert_eq!(may(&caller, "a", Scope::Read), Ok(()));
        assert_eq!(may(&caller, "a", Scope::Wallet), Ok(()));
        assert_eq!(may(&caller, "a", Scope::Admin), Err(Code::Forbidden));
        let end = Time(NOW.0 + 1);
        let narrow = TokenParams {
            methods: Some(vec!["a".into()]),
            calls_per_second: Some(2),
            expires: Some(Moment(end)),
            ..wanted(Scope::Admin)
        };
        let (text, _) = tokens.create(narrow, NOW).unwrap();
        let caller = tokens.bearer(&text, NOW).unwrap();
        assert_eq!(may(&caller, "b", Scope::Read), Err(Code::Forbidden));
        assert_eq!(may(&caller, "a", Scope::Admin), Ok(()));
        assert_eq!(may(&caller, "a", Scope::Admin), Ok(()));
        assert_eq!(may(&caller, "a", Scope::Admin), Err(Code::TooFast));
        assert!(tokens.counts(&caller, NOW) && !tokens.counts(&caller, end));
        assert!(tokens.bearer(&text, end).is_none());
        assert_eq!(may(&Caller::Owner, "b", Scope::Admin), Ok(()));
    }

    #[test]
    fn tokens_are_bounded_and_those_that_are_over_make_room() {
        let (_home, tokens) = open();
        let brief = TokenParams {
            expires: Some(Moment(Time(NOW.0 + 1))),
            ..wanted(Scope::Read)
        };
        tokens.create(brief.clone(), NOW).unwrap();
        let late = Time(NOW.0 + 1);
        let refused = tokens.create(brief, late).unwrap_err();
        assert_eq!(refused.code, Code::BadValue);
        for _ in 0..MAX_TOKENS {
            tokens.create(wanted(Scope::Read), late).unwrap();
        }
        let refused = tokens.create(wanted(Scope::Read), late).unwrap_err();
        assert_eq!(refused.code, Code::TooManyTokens);
    }
}
