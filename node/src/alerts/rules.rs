//! `[alerts]` of `config.toml`, parsed: from when on something is an alert, and who is told. They
//! can change while the node runs.

use super::hooks::Secret;
use crate::home::AlertConfig;
use http::Uri;
use larder_engine::alerts::Thresholds;
use larder_types::Millis;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

/// Most webhooks: each has a queue of its own.
pub const MAX_HOOKS: usize = 8;

/// What alerts go by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// From when on something is one.
    pub limits: Thresholds,
    /// Who is told.
    pub webhooks: Vec<Uri>,
    /// What they know us by.
    pub secret: Option<Secret>,
}

/// The same, shared: whoever changes the file changes it here.
#[derive(Debug, Clone)]
pub struct Rules(Arc<RwLock<Arc<Settings>>>);

impl Rules {
    /// Rules that begin as these.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(settings))))
    }

    /// What holds now.
    #[must_use]
    pub fn now(&self) -> Arc<Settings> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What holds from now on.
    pub fn set(&self, settings: Settings) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }
}

/// A value of `[alerts]` that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("alerts.{key}: {why}")]
pub struct BadRule {
    /// Which.
    pub key: &'static str,
    /// Why not.
    pub why: String,
}

impl Settings {
    /// Those of a network with epochs of this length.
    ///
    /// # Errors
    /// [`BadRule`] names the first value that is none.
    pub fn of(config: &AlertConfig, epoch: Millis) -> Result<Self, BadRule> {
        let usual = Thresholds::usual(epoch);
        let limits = Thresholds {
            peers_after: parsed("peers_after", &config.peers_after, usual.peers_after)?,
            ledger_after: parsed("ledger_after", &config.ledger_after, usual.ledger_after)?,
            clock_off: parsed("clock_off", &config.clock_off, usual.clock_off)?,
            backup_after: parsed("backup_after", &config.backup_after, usual.backup_after)?,
            credit_for: parsed("credit_for", &config.credit_for, usual.credit_for)?,
            redundancy_after: parsed(
                "redundancy_after",
                &config.redundancy_after,
                usual.redundancy_after,
            )?,
            disk_free: parsed("disk_free", &config.disk_free, usual.disk_free)?,
            damage_for: parsed("damage_for", &config.damage_for, usual.damage_for)?,
            calm: parsed("calm", &config.calm, usual.calm)?,
        };
        if config.webhook.len() > MAX_HOOKS {
            let why = format!("at most {MAX_HOOKS} webhooks; name fewer");
            return Err(BadRule {
                key: "webhook",
                why,
            });
        }
        Ok(Self {
            limits,
            webhooks: config
                .webhook
                .iter()
                .map(|w| hook(w))
                .collect::<Result<_, _>>()?,
            secret: config.secret.clone().map(Secret::new),
        })
    }
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(
    key: &'static str,
    text: &Option<String>,
    usual: T,
) -> Result<T, BadRule> {
    let bad = |e: T::Err| BadRule {
        key,
        why: e.to_string(),
    };
    text.as_ref()
        .map_or(Ok(usual), |text| text.parse().map_err(bad))
}

/// A webhook's address: http or https, with a host.
fn hook(text: &str) -> Result<Uri, BadRule> {
    let bad = || BadRule {
        key: "webhook",
        why: format!("{text:?} is no address like https://example.org/hook"),
    };
    let uri: Uri = text.parse().map_err(|_| bad())?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    (known && has_host).then_some(uri).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Millis = Millis(3_600_000);

    #[test]
    fn what_is_absent_is_usual_and_what_is_there_counts() {
        let usual = Settings::of(&AlertConfig::default(), EPOCH).unwrap();
        assert_eq!(usual.limits, Thresholds::usual(EPOCH));
        assert!(usual.webhooks.is_empty() && usual.secret.is_none());
        let config = AlertConfig {
            webhook: vec!["https://example.org/a?b".into()],
            backup_after: Some("2d".into()),
            ..AlertConfig::default()
        };
        let set = Settings::of(&config, EPOCH).unwrap();
        assert_eq!(set.limits.backup_after, Millis(2 * 86_400_000));
        assert_eq!(set.webhooks[0], "https://example.org/a?b");
    }

    #[test]
    fn what_is_none_is_named() {
        for hook in ["", "/x", "ftp://a/b", "example.org", "http://"] {
            let config = AlertConfig {
                webhook: vec![hook.into()],
                ..AlertConfig::default()
            };
            let bad = Settings::of(&config, EPOCH).unwrap_err();
            assert_eq!(bad.key, "webhook", "{hook}");
        }
        let config = AlertConfig {
            disk_free: Some("much".into()),
            ..AlertConfig::default()
        };
        assert_eq!(Settings::of(&config, EPOCH).unwrap_err().key, "disk_free");
    }
}
