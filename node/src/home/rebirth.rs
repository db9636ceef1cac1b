//! A home that comes back from its words: made anew, marked until its recovery has ended, taken up
//! again by the same words, taken back if they are nobody's.

use super::{Home, HomeError, Invite, init, make_dir, write};
use crate::cli::options::{InitOptions, Network};
use larder_keys::Words;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What says that a home's recovery has not come to its end.
fn recovering_path(dir: &Path) -> PathBuf {
    dir.join("recovering")
}

/// Whether the home in `dir` is one that a recovery began and has not ended.
#[must_use]
pub fn is_recovering(dir: &Path) -> bool {
    recovering_path(dir).exists()
}

/// The recovery of the home in `dir` has come to its end.
///
/// # Errors
/// If its mark cannot be deleted.
pub fn recovered(dir: &Path) -> Result<(), HomeError> {
    let path = recovering_path(dir);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(HomeError::Io { path, source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What became of the folder that a recovery is to fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reborn {
    /// A home was made.
    Made,
    /// There was one of the same words and network: the recovery goes on with it.
    There,
}

/// A home for the account of `words` on the network of `invite`: made, or taken up where an earlier
/// recovery left it, with a passphrase if it was sealed since.
///
/// # Errors
/// [`HomeError`]; then nothing has changed.
pub fn rebirth(
    dir: &Path,
    (words, passphrase): (Zeroizing<String>, Option<&str>),
    invite: String,
) -> Result<Reborn, HomeError> {
    if dir.join("config.toml").exists() {
        return same_home(dir, (&words, passphrase), &invite);
    }
    Words::parse(&words)?;
    invite.parse::<Invite>()?;
    if !is_recovering(dir) && is_occupied(dir)? {
        return Err(HomeError::Occupied(dir.to_owned()));
    }
    make_dir(dir, 0o700)?;
    write(&recovering_path(dir), b"", 0o600)?;
    let options = InitOptions {
        network: Network::Join { invite },
        words: Some(words),
    };
    init(dir, options)?;
    Ok(Reborn::Made)
}

/// Whether anything lies in the folder: what a failed recovery takes back must all be its own.
fn is_occupied(dir: &Path) -> Result<bool, HomeError> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(HomeError::Io {
            path: dir.to_owned(),
            source,
        }),
    }
}

/// Whether the home in `dir` is of these words and this network.
fn same_home(
    dir: &Path,
    (words, passphrase): (&str, Option<&str>),
    invite: &str,
) -> Result<Reborn, HomeError> {
    let home = Home::open(dir, passphrase)?;
    let account = Words::parse(words)?.seed().account();
    let invite: Invite = invite.parse()?;
    let same = home.keys.account() == account.account()
        && home.genesis_hash()? == invite.genesis
        && home.keys.cert.is_some();
    if same {
        Ok(Reborn::There)
    } else {
        Err(HomeError::Other(dir.to_owned()))
    }
}

/// Takes back a home that [`rebirth`] has just made: its words are of nobody here.
///
/// # Errors
/// If the folder cannot be deleted.
pub fn unmake(dir: &Path) -> Result<(), HomeError> {
    fs::remove_dir_all(dir).map_err(|source| HomeError::Io {
        path: dir.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::fresh_words;
    use larder_ledger::Consensus;
    use larder_types::GenesisHash;
    use larder_types::Profile;

    #[test]
    fn a_home_is_reborn_from_its_words_and_taken_up_by_the_same_only() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let founding = InitOptions {
            network: Network::New {
                profile: Profile::Dev,
                epoch: None,
                consensus: Consensus::Solo,
            },
            words: None,
        };
        let made = init(&at("first"), founding).unwrap();
        let first = Home::open(&at("first"), None).unwrap();
        let invite = |genesis| Invite {
            genesis,
            addrs: vec!["/ip4/127.0.0.1/tcp/1".to_owned()],
            checkpoint: None,
        };
        let ours = invite(first.genesis_hash().unwrap()).to_string();
        let again = |words: &str, invite: &str| {
            rebirth(
                &at("again"),
                (Zeroizing::new(words.to_owned()), None),
                invite.to_owned(),
            )
        };
        let wrong = again("abandon art", &ours).unwrap_err();
        assert_eq!(wrong.exit_code(), 12);
        assert!(again(&made.words, "larder1nonsense").is_err());
        assert!(!at("again").exists());
        assert_eq!(again(&made.words, &ours).unwrap(), Reborn::Made);
        assert!(is_recovering(&at("again")));
        let same = Home::open(&at("again"), None).unwrap();
        assert_eq!(same.keys.account(), first.keys.account());
        assert_ne!(same.keys.sub_key(), first.keys.sub_key());
        assert_eq!(same.keys.vault.root(), first.keys.vault.root());
        assert_eq!(
            same.recovery_keys().unwrap().key,
            first.recovery_keys().unwrap().key
        );
        assert_ne!(same.keys.device.public(), first.keys.device.public());
        drop(same);
        assert_eq!(again(&made.words, &ours).unwrap(), Reborn::There);
        let elsewhere = invite(GenesisHash([9; 32])).to_string();
        let other = fresh_words();
        for (words, invite) in [(&*made.words, &*elsewhere), (&*other, &*ours)] {
            assert!(matches!(again(words, invite), Err(HomeError::Other(_))));
        }
        fs::create_dir(at("full")).unwrap();
        fs::write(at("full").join("letter"), b"mine").unwrap();
        let full = rebirth(&at("full"), (made.words, None), ours);
        assert!(matches!(full, Err(HomeError::Occupied(_))));
        recovered(&at("again")).unwrap();
        recovered(&at("again")).unwrap();
        assert!(!is_recovering(&at("again")));
        unmake(&at("again")).unwrap();
        assert!(!at("again").exists());
    }
}
