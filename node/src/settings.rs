//! `config.toml`, changed while the node runs: one key at a time, the user's comments kept, whole or
//! not at all, durable before anything goes by it.

use crate::home::{Config, HomeError, write};
use crate::shards::VolumeConfig;
use larder_engine::VolumeId;
use larder_types::Bytes;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

/// The home's configuration file.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    path: PathBuf,
    turn: Arc<Mutex<()>>,
}

impl ConfigFile {
    /// The file of the home in `dir`.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        Self {
            path: dir.join("config.toml"),
            turn: Arc::default(),
        }
    }

    /// The home that it belongs to.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says now.
    ///
    /// # Errors
    /// [`HomeError`] if it cannot be read, or is no configuration.
    pub fn read(&self) -> Result<Config, HomeError> {
        let path = self.path.clone();
        let text = fs::read_to_string(&path);
        let text = text.map_err(|source| HomeError::Io {
            path: path.clone(),
            source,
        })?;
        toml::from_str(&text).map_err(|e: toml::de::Error| HomeError::Damaged {
            path,
            why: e.message().to_owned(),
        })
    }

    /// Changes the file. What comes out must still be a configuration.
    ///
    /// # Errors
    /// [`HomeError`]; then nothing has changed.
    pub fn edit(&self, change: impl FnOnce(&mut DocumentMut)) -> Result<(), HomeError> {
        self.edit_checked(change, |_| Ok(()))
    }

    /// The same, if `check` finds what comes out sound.
    ///
    /// # Errors
    /// [`HomeError`]; then nothing has changed.
    pub fn edit_checked(
        &self,
        change: impl FnOnce(&mut DocumentMut),
        check: impl FnOnce(&Config) -> Result<(), String>,
    ) -> Result<(), HomeError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let path = &self.path;
        let damaged = |why: String| HomeError::Damaged {
            path: path.clone(),
            why,
        };
        let text = fs::read_to_string(path).map_err(|source| HomeError::Io {
            path: path.clone(),
            source,
        })?;
        let mut document: DocumentMut = text.parse().map_err(
            // Its own Display draws the file.
            |e: toml_edit::TomlError| damaged(e.message().to_owned()),
        )?;
        change(&mut document);
        let text = document.to_string();
        let config: Config = toml::from_str(&text).map_err(|e| damaged(e.message().to_owned()))?;
        check(&config).map_err(damaged)?;
        // A secret is nobody else's to read.
        // A webhook's address may be a secret too.
        let is_secret = config.alerts.secret.is_some() || !config.alerts.webhook.is_empty();
        let mode = if is_secret { 0o600 } else { 0o644 };
        write(path, text.as_bytes(), mode)
    }
}

/// Sets what `larder up` does without a flag.
pub fn set_up(document: &mut DocumentMut, key: &str, to: &str) {
    if !document.contains_key("up") {
        document.insert("up", Item::Table(Table::new()));
    }
    document["up"][key] = value(to);
}

/// Adds a volume, or changes its size.
pub fn put_volume(document: &mut DocumentMut, volume: &VolumeConfig) {
    remove_volume(document, volume.id);
    let mut table = Table::new();
    table["id"] = value(i64::from(volume.id.0));
    table["path"] = value(volume.path.to_string_lossy().as_ref());
    if let Some(Bytes(size)) = volume.size {
        table["size"] = value(format!("{size}B"));
    }
    let list = document
        .entry("volume")
        .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    if let Some(list) = list.as_array_of_tables_mut() {
        list.push(table);
    }
}

/// Takes a volume out.
pub fn remove_volume(document: &mut DocumentMut, id: VolumeId) {
    let Some(list) = document.get_mut("volume") else {
        return;
    };
    let Some(list) = list.as_array_of_tables_mut() else {
        return;
    };
    let is = |table: &Table| table.get("id").and_then(Item::as_integer) == Some(i64::from(id.0));
    list.retain(|table| !is(table));
    if list.is_empty() {
        document.remove("volume");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# mine\n[network]\ngenesis = \"g\" # the hash\nbootstrap = []\n";

    fn home() -> (tempfile::TempDir, ConfigFile) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.toml"), FILE).unwrap();
        let settings = ConfigFile::of(dir.path());
        (dir, settings)
    }

    fn config(dir: &Path) -> Config {
        toml::from_str(&fs::read_to_string(dir.join("config.toml")).unwrap()).unwrap()
    }

    #[test]
    fn what_is_set_is_read_again_and_comments_stay() {
        let (dir, settings) = home();
        settings.edit(|file| set_up(file, "price", "0.5")).unwrap();
        settings
            .edit(|file| set_up(file, "taking", "paused"))
            .unwrap();
        let volume = |id, size| VolumeConfig {
            id: VolumeId(id),
            path: PathBuf::from("/mnt/a b"),
            size,
        };
        let sized = volume(2, Some(Bytes(7 << 30)));
        settings
            .edit(|file| {
                put_volume(file, &volume(1, None));
                put_volume(file, &volume(2, None));
                put_volume(file, &sized);
            })
            .unwrap();
        let read = config(dir.path());
        assert_eq!(read.up.price.as_deref(), Some("0.5"));
        assert_eq!(read.up.taking, Some(larder_rpc::Taking::Paused));
        let volumes = read.volumes(dir.path()).unwrap();
        assert_eq!(volumes, [volume(1, None), sized]);
        settings
            .edit(|file| {
                remove_volume(file, VolumeId(1));
                remove_volume(file, VolumeId(2));
            })
            .unwrap();
        assert!(config(dir.path()).volumes.is_empty());
        let text = fs::read_to_string(dir.path().join("config.toml")).unwrap();
        assert!(
            text.starts_with("# mine\n") && text.contains("# the hash"),
            "{text}"
        );
    }

    #[test]
    fn what_would_not_be_a_configuration_is_not_written() {
        let (dir, settings) = home();
        let refused = settings.edit(|file| set_up(file, "taking", "everything"));
        assert!(matches!(refused, Err(HomeError::Damaged { .. })));
        let text = fs::read_to_string(dir.path().join("config.toml")).unwrap();
        assert_eq!(text, FILE);
    }
}
