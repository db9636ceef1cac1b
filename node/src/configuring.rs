//! `node_config` and `node_setConfig`: the keys of `config.toml` that can be read and set through the
//! RPC, what each may hold, and when a change takes effect. What is not listed here cannot be set.

use crate::alerts::rules;
use crate::cli::options::LEAST_QUOTA;
use crate::home::Config;
use crate::net::Multiaddr;
use larder_contracts::offer::{MAX_OPERATOR, MAX_REGION};
use larder_rpc::{Applies, ConfigEntry, Form};
use larder_types::{Amount, Bytes, Millis};
use serde_json::Value;
use std::path::Path;
use toml_edit::{Array, DocumentMut, Item, Table};

/// A key of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    form: Form,
    /// When a change takes effect.
    pub applies: Applies,
}

const fn key(name: &'static str, form: Form, applies: Applies) -> Key {
    Key {
        name,
        form,
        applies,
    }
}

/// The most that contracts may cost.
pub const ALLOWANCE: &str = "renter.allowance";

/// Every key.
pub const KEYS: [Key; 23] = [
    key("alerts.webhook", Form::List, Applies::Now),
    key("alerts.secret", Form::Secret, Applies::Now),
    key("alerts.peers_after", Form::Text, Applies::Now),
    key("alerts.ledger_after", Form::Text, Applies::Now),
    key("alerts.clock_off", Form::Text, Applies::Now),
    key("alerts.backup_after", Form::Text, Applies::Now),
    key("alerts.credit_for", Form::Text, Applies::Now),
    key("alerts.redundancy_after", Form::Text, Applies::Now),
    key("alerts.disk_free", Form::Text, Applies::Now),
    key("alerts.damage_for", Form::Text, Applies::Now),
    key("alerts.calm", Form::Text, Applies::Now),
    key(ALLOWANCE, Form::Text, Applies::Now),
    key("up.listen", Form::List, Applies::Restart),
    key("up.rpc", Form::Text, Applies::Restart),
    key("up.consensus_listen", Form::Text, Applies::Restart),
    key("up.validate", Form::Flag, Applies::Restart),
    key("up.provide", Form::Text, Applies::Offer),
    key("up.price", Form::Text, Applies::Offer),
    key("up.region", Form::Text, Applies::Offer),
    key("up.operator", Form::Text, Applies::Offer),
    key("up.taking", Form::Text, Applies::Offer),
    key("network.genesis", Form::Text, Applies::Never),
    key("network.bootstrap", Form::List, Applies::Never),
];

/// Why a key cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// There is none of that name.
    #[error("no key {0:?}: `larder config` lists them")]
    Unknown(String),
    /// The value has another form.
    #[error("{0} takes {1}")]
    Form(&'static str, &'static str),
    /// It stays.
    #[error("{0} stays as the home was made: make another home with `larder init`")]
    Never(&'static str),
    /// It is the offer's.
    #[error("{0} is part of this node's offer: change it with `larder offer set`")]
    Offer(&'static str),
}

impl Key {
    /// The key of a name that may be set; `provides`: whether the node has an offer.
    ///
    /// # Errors
    /// [`SetError`] if there is none, or it is not to be set here.
    pub fn to_set(name: &str, provides: bool) -> Result<Self, SetError> {
        let known = KEYS.into_iter().find(|key| key.name == name);
        let key = known.ok_or_else(|| SetError::Unknown(name.to_owned()))?;
        match key.applies {
            Applies::Now | Applies::Restart => Ok(key),
            Applies::Offer if !provides => Ok(key),
            Applies::Offer => Err(SetError::Offer(key.name)),
            Applies::Never => Err(SetError::Never(key.name)),
        }
    }

    /// The value as the file is to hold it; `None`: it is to hold none.
    ///
    /// # Errors
    /// [`SetError::Form`].
    pub fn item(&self, value: Option<&Value>) -> Result<Option<Item>, SetError> {
        let wrong = |takes| SetError::Form(self.name, takes);
        let Some(value) = value.filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let item = match self.form {
            Form::Text | Form::Secret => {
                let text = value.as_str().ok_or_else(|| wrong("a text"))?;
                toml_edit::value(text)
            }
            Form::Flag => {
                let flag = value.as_bool().ok_or_else(|| wrong("true or false"))?;
                toml_edit::value(flag)
            }
            Form::List => {
                let list = value.as_array().ok_or_else(|| wrong("a list of texts"))?;
                let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
                let texts = texts.ok_or_else(|| wrong("a list of texts"))?;
                toml_edit::value(texts.into_iter().collect::<Array>())
            }
        };
        Ok(Some(item))
    }

    /// Puts a value into the file, or takes it out.
    pub fn put(&self, document: &mut DocumentMut, item: Option<Item>) {
        let (section, name) = self.parts();
        let table = document
            .entry(section)
            .or_insert_with(|| Item::Table(Table::new()));
        let Some(table) = table.as_table_like_mut() else {
            return;
        };
        match item {
            Some(item) => table.insert(name, item),
            None => table.remove(name),
        };
    }

    /// The key as a configuration has it.
    #[must_use]
    pub fn entry(&self, config: &Value) -> ConfigEntry {
        let (section, name) = self.parts();
        let value = config.get(section).and_then(|section| section.get(name));
        ConfigEntry {
            key: self.name.to_owned(),
            form: self.form,
            set: value.is_some(),
            value: value.filter(|_| self.form != Form::Secret).cloned(),
            applies: self.applies,
        }
    }

    fn parts(&self) -> (&'static str, &'static str) {
        self.name.split_once('.').unwrap_or((self.name, ""))
    }
}

/// Whether a configuration whose values are texts can be gone by.
///
/// # Errors
/// The key, and what is wrong with it.
pub fn sound(config: &Config, home: &Path, epoch: Millis) -> Result<(), String> {
    rules::Settings::of(&config.alerts, epoch).map_err(|e| e.to_string())?;
    config.renter.allowance()?;
    let up = &config.up;
    for addr in up.listen.iter().chain(&up.consensus_listen) {
        addr.parse::<Multiaddr>().map_err(|_| {
            format!("{addr:?} is not a multiaddr; write /ip4/0.0.0.0/tcp/4750, for example")
        })?;
    }
    if let Some(price) = &up.price {
        price
            .parse::<Amount>()
            .map_err(|e| format!("up.price: {e}"))?;
    }
    for (key, text, most) in [
        ("region", &up.region, MAX_REGION),
        ("operator", &up.operator, MAX_OPERATOR),
    ] {
        if text.as_ref().is_some_and(|text| text.len() > most) {
            return Err(format!("up.{key}: at most {most} bytes"));
        }
    }
    if let Some(provide) = &up.provide {
        let quota: Bytes = provide.parse().map_err(|e| format!("up.provide: {e}"))?;
        if quota.0 > 0 && quota.0 < LEAST_QUOTA.0 {
            return Err(format!("up.provide: at least {LEAST_QUOTA}, or nothing"));
        }
    }
    config.volumes(home).map_err(|e| e.to_string())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FILE: &str = "# mine\n[network]\ngenesis = \"g\"\nbootstrap = []\n";

    /// The file after a key was set.
    fn set(name: &str, value: Option<&Value>) -> Result<(String, ConfigEntry), SetError> {
        let key = Key::to_set(name, false)?;
        let item = key.item(value)?;
        let mut document: DocumentMut = FILE.parse().unwrap();
        key.put(&mut document, item);
        let text = document.to_string();
        let read: Config = toml::from_str(&text).unwrap();
        let entry = key.entry(&serde_json::to_value(&read).unwrap());
        Ok((text, entry))
    }

    #[test]
    fn what_is_set_is_shown_but_for_a_secret() {
        let hooks = json!(["https://a/b", "http://c"]);
        let (text, entry) = set("alerts.webhook", Some(&hooks)).unwrap();
        assert!(text.starts_with("# mine\n"), "{text}");
        assert_eq!((entry.set, entry.value), (true, Some(hooks)));
        let (_, entry) = set("alerts.secret", Some(&json!("s3cret"))).unwrap();
        assert_eq!((entry.set, entry.value), (true, None));
        let (_, entry) = set("up.validate", Some(&json!(true))).unwrap();
        assert_eq!(entry.value, Some(json!(true)));
        let (_, entry) = set("alerts.webhook", None).unwrap();
        assert!(!entry.set);
    }

    #[test]
    fn other_forms_and_other_keys_are_refused() {
        for (name, value) in [
            ("alerts.webhook", json!("https://a")),
            ("alerts.webhook", json!([1])),
            ("up.validate", json!("yes")),
            ("up.rpc", json!(4730)),
        ] {
            let refused = set(name, Some(&value)).unwrap_err();
            assert!(matches!(refused, SetError::Form(..)), "{name}");
        }
        assert!(matches!(set("up.nothing", None), Err(SetError::Unknown(_))));
        assert!(matches!(
            set("network.genesis", None),
            Err(SetError::Never(_))
        ));
        assert!(matches!(
            Key::to_set("up.price", true),
            Err(SetError::Offer(_))
        ));
        assert!(Key::to_set("up.price", false).is_ok());
    }

    #[test]
    fn every_key_is_one_of_the_configuration() {
        for key in KEYS {
            let sample = match key.name {
                "up.rpc" => json!("127.0.0.1:1"),
                "up.taking" => json!("paused"),
                _ if key.form == Form::List => json!(["a"]),
                _ if key.form == Form::Flag => json!(true),
                _ => json!("5s"),
            };
            let mut document: DocumentMut = FILE.parse().unwrap();
            key.put(&mut document, key.item(Some(&sample)).unwrap());
            let read = toml::from_str::<Config>(&document.to_string());
            assert!(read.is_ok(), "{}: {:?}", key.name, read.err());
        }
    }

    #[test]
    fn what_the_node_could_not_go_by_is_named() {
        let config = |text: &str| toml::from_str::<Config>(&format!("{FILE}{text}")).unwrap();
        let bad = |text: &str| sound(&config(text), Path::new("/h"), Millis(1_000)).unwrap_err();
        assert!(bad("[up]\nlisten = [\"here\"]\n").contains("multiaddr"));
        assert!(bad("[up]\nprice = \"much\"\n").contains("up.price"));
        assert!(bad("[up]\nprovide = \"1B\"\n").contains("up.provide"));
        assert!(bad("[renter]\nallowance = \"much\"\n").contains("renter.allowance"));
        assert!(bad("[alerts]\ncalm = \"soon\"\n").contains("alerts.calm"));
        assert_eq!(sound(&config(""), Path::new("/h"), Millis(1_000)), Ok(()));
    }
}
