//! `larder key`: the passphrases that open a home, and the page for the day when it is gone. All of it works on
//! the home's files: no node is asked.

use super::args::{ExportArgs, KeyCommand, UnlockArgs};
use super::connect::{Asked, require_home};
use super::exit::{FAILED, Failure, WRONG_WORDS};
use super::output::Out;
use super::words;
use crate::home::{
    HomeError, Standing, WayBack, add_key, change_passphrase, is_sealed, now, read_ring, remove_key,
};
use crate::invite::Invite;
use crate::paper::Page;
use larder_keys::Keyring;
use larder_rpc::Moment;
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use zeroize::Zeroizing;

pub(super) fn key(home: &Path, command: KeyCommand, out: Out) -> Asked {
    require_home(home)?;
    match command {
        KeyCommand::Add {
            name,
            new_passphrase_file,
            unlock,
        } => add(
            home,
            name.as_deref(),
            (new_passphrase_file.as_deref(), &unlock),
            out,
        ),
        KeyCommand::List => list(home, out),
        KeyCommand::Remove {
            name,
            unseal,
            unlock,
        } => remove(home, (&name, unseal), &unlock, out),
        KeyCommand::Passwd {
            new_passphrase_file,
            unlock,
        } => passwd(home, (new_passphrase_file.as_deref(), &unlock), out),
        KeyCommand::Export(args) => export(home, &args, out),
    }
}

fn add(
    home: &Path,
    name: Option<&str>,
    (file, unlock): (Option<&Path>, &UnlockArgs),
    out: Out,
) -> Asked {
    let was_sealed = is_sealed(home);
    let current = words::of_home(home, unlock)?;
    // Whoever names the file that `up` is to read means the first key to be in it.
    let first = unlock.passphrase_file.as_deref().filter(|_| !was_sealed);
    let new = words::new_passphrase(file.or(first))?;
    let current = words::shown(current.as_ref());
    let name = add_key(home, current, (name, &new)).map_err(of_home)?;
    out.object(&json!({ "message_type": "summary", "key": name, "sealed": true }))?;
    out.line(format_args!("key  {name}"))?;
    if was_sealed {
        return Ok(());
    }
    out.remark(
        "This home is sealed: `larder up` asks for the passphrase, or reads it from --passphrase-file. \
         Without it, only the twenty-four words help.",
    )
}

fn list(home: &Path, out: Out) -> Asked {
    let ring = read_ring(home).map_err(of_home)?;
    let mut count = 0;
    for key in ring.iter().flat_map(Keyring::keys) {
        count += 1;
        let made = Moment(key.made);
        out.object(&json!({
            "message_type": "key",
            "key": key.name,
            "made": made,
            "memory_kib": key.stretch.memory,
            "passes": key.stretch.passes,
            "lanes": key.stretch.lanes,
        }))?;
        let mib = key.stretch.memory >> 10;
        out.line(format_args!(
            "{:<32}  {made}  Argon2id, {mib} MiB",
            key.name
        ))?;
    }
    let sealed = ring.is_some();
    out.object(&json!({ "message_type": "summary", "sealed": sealed, "keys": count }))?;
    match sealed {
        true => Ok(()),
        false => out.remark(
            "This home has no passphrase: who reads its files has its keys. `larder key add` seals it.",
        ),
    }
}

fn remove(home: &Path, (name, unseal): (&str, bool), unlock: &UnlockArgs, out: Out) -> Asked {
    let current = current(home, unlock)?;
    remove_key(home, &current, name, unseal).map_err(of_home)?;
    let sealed = is_sealed(home);
    out.object(&json!({ "message_type": "summary", "removed": name, "sealed": sealed }))?;
    match sealed {
        true => out.remark(format_args!("{name} opens this home no more.")),
        false => out.remark("This home lies open: who reads its files has its keys."),
    }
}

fn passwd(home: &Path, (file, unlock): (Option<&Path>, &UnlockArgs), out: Out) -> Asked {
    let current = current(home, unlock)?;
    let next = words::new_passphrase(file)?;
    let name = change_passphrase(home, &current, &next).map_err(of_home)?;
    out.object(&json!({ "message_type": "summary", "key": name }))?;
    out.remark(format_args!("{name} has another passphrase."))
}

/// The passphrase of a home that must be sealed.
fn current(home: &Path, unlock: &UnlockArgs) -> Result<Zeroizing<String>, Failure> {
    let unsealed = || of_home(HomeError::Unsealed(home.to_owned()));
    if !is_sealed(home) {
        return Err(unsealed());
    }
    let locked = || of_home(HomeError::Locked(home.to_owned()));
    words::of_home(home, unlock)?.ok_or_else(locked)
}

fn export(home: &Path, args: &ExportArgs, out: Out) -> Asked {
    let account = Standing::read(home).map_err(of_home)?.account;
    let mut way = WayBack::read(home).map_err(of_home)?;
    if let Some(invite) = &args.join {
        way.invite = invite_of(invite, &way)?;
    }
    if let Some(file) = args
        .out
        .as_deref()
        .filter(|file| !args.force && file.exists())
    {
        return Err(in_the_way(file));
    }
    let words = words::parse(&words::text(args.words_file.as_deref())?)?;
    if words.seed().account().account() != account {
        let why = format_args!(
            "these words are of another account: this home's is {account}; nothing was written"
        );
        return Err(Failure::new(WRONG_WORDS, why));
    }
    let page = Page::new(&words, account, way, now());
    let text = match args.html {
        true => page.html(),
        false => page.text(),
    };
    let mut told = json!({
        "message_type": "summary",
        "account": account.to_string(),
        "genesis": page.genesis(),
        "peers": page.peers(),
    });
    match &args.out {
        Some(file) => {
            keep(file, text.as_bytes(), args.force)?;
            told["file"] = Value::from(file.display().to_string());
            out.object(&told)?;
            out.remark(format_args!(
                "{} holds the words: print it, then delete it.",
                file.display()
            ))?;
        }
        None if out.json => {
            told["page"] = Value::from(text.as_str());
            out.object(&told)?;
        }
        None => out.raw(text.as_bytes())?,
    }
    if page.peers().is_empty() {
        out.warn(
            "this home knows of no peer but itself, so the page names none: take another member's invite \
             (--join INVITE)",
        );
    }
    Ok(())
}

fn invite_of(text: &str, way: &WayBack) -> Result<Invite, Failure> {
    let invite: Invite = text.parse().map_err(|e| of_home(HomeError::Invite(e)))?;
    if invite.genesis == way.invite.genesis {
        return Ok(invite);
    }
    let why = "the invite is of another network than this home: take one of its own";
    Err(Failure::new(FAILED, why))
}

/// Writes a file that nobody else reads; what is there is replaced only if that was said.
fn keep(file: &Path, bytes: &[u8], replace: bool) -> Asked {
    if replace {
        return replaced(file, bytes).map_err(|e| not_written(file, &e));
    }
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    let written = opened.and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|e| {
        if e.kind() == io::ErrorKind::AlreadyExists {
            return in_the_way(file);
        }
        // Half of the words is left to nobody.
        fs::remove_file(file).ok();
        not_written(file, &e)
    })
}

/// Writes beside, under a name that nobody has, and puts it in place.
fn replaced(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    let mut beside = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    beside.write_all(bytes)?;
    beside.as_file().sync_all()?;
    beside.persist(file)?;
    Ok(())
}

fn not_written(file: &Path, error: &io::Error) -> Failure {
    let why = format_args!("cannot write {}: {error}", file.display());
    Failure::new(FAILED, why)
}

fn in_the_way(file: &Path) -> Failure {
    let why = format_args!(
        "{} is there already: choose another name, or replace it with --force",
        file.display()
    );
    Failure::new(FAILED, why)
}

fn of_home(error: HomeError) -> Failure {
    Failure::new(error.exit_code(), error)
}
