//! The invite: one string that carries which network it is and whom to ask first. Joining is one
//! paste. Nothing in it is secret.

use larder_proofs::Checkpoint;
use larder_types::{GenesisHash, codec};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What every invite begins with.
const PREFIX: &str = "larder1";
/// Most addresses in one.
const MAX_ADDRS: usize = 16;

/// Which network, and whom to ask first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    /// The genesis document's hash: whatever a peer sends must match it.
    pub genesis: GenesisHash,
    /// Multiaddrs, each with its `/p2p/` part.
    pub addrs: Vec<String>,
    /// A block of the chain: who joins refuses another history. Not in a network without blocks, nor
    /// in invites of before there were checkpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
}

/// A string that is no invite.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// It does not begin as one.
    #[error("not an invite: it must begin with {0}")]
    Prefix(&'static str),
    /// It was cut or changed.
    #[error("the invite is damaged or cut short")]
    Damaged,
}

/// Writes something for people to paste: with a checksum, because they copy it by hand and mail programs
/// break lines.
pub(crate) fn armour<T: Serialize>(prefix: &str, value: &T) -> String {
    let bytes = codec::encode(value);
    let sum = blake3::hash(&bytes);
    let whole = [&bytes[..], &sum.as_bytes()[..4]].concat();
    format!("{prefix}{}", hex::encode(whole))
}

/// Reads what [`armour`] wrote.
pub(crate) fn disarm<T: Serialize + DeserializeOwned>(
    prefix: &'static str,
    text: &str,
) -> Result<T, InviteError> {
    let text: String = text.split_whitespace().collect();
    let whole = text.strip_prefix(prefix);
    let whole = whole.ok_or(InviteError::Prefix(prefix))?;
    let whole = hex::decode(whole).map_err(|_| InviteError::Damaged)?;
    let (bytes, sum) = whole.split_last_chunk::<4>().ok_or(InviteError::Damaged)?;
    if blake3::hash(bytes).as_bytes()[..4] != sum[..] {
        return Err(InviteError::Damaged);
    }
    codec::decode(bytes).map_err(|_| InviteError::Damaged)
}

impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&armour(PREFIX, self))
    }
}

impl FromStr for Invite {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Self, InviteError> {
        let invite: Self = disarm(PREFIX, text)?;
        if invite.addrs.is_empty() || invite.addrs.len() > MAX_ADDRS {
            return Err(InviteError::Damaged);
        }
        Ok(invite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invite_survives_line_breaks_but_no_change() {
        let invite = Invite {
            genesis: GenesisHash([3; 32]),
            addrs: vec!["/ip4/127.0.0.1/tcp/1".to_owned()],
            checkpoint: None,
        };
        let text = invite.to_string();
        assert_eq!(text.parse(), Ok(invite.clone()));
        let (a, b) = text.split_at(40);
        assert_eq!(format!(" {a}\n{b}\n").parse(), Ok(invite));
        assert_eq!("hello".parse::<Invite>(), Err(InviteError::Prefix(PREFIX)));
        assert_eq!(
            text[..text.len() - 2].parse::<Invite>(),
            Err(InviteError::Damaged)
        );
        let changed = text.replace("00", "01");
        assert!(changed == text || changed.parse::<Invite>().is_err());
    }

    #[test]
    fn a_checkpoint_travels_with_it_and_older_invites_are_read() {
        // As it was written before there were checkpoints.
        #[derive(Serialize)]
        struct Before {
            genesis: GenesisHash,
            addrs: Vec<String>,
        }
        let addrs = vec!["/ip4/127.0.0.1/tcp/1".to_owned()];
        let genesis = GenesisHash([3; 32]);
        let bytes = codec::encode(&Before { genesis, addrs });
        let sum = blake3::hash(&bytes);
        let whole = hex::encode([&bytes[..], &sum.as_bytes()[..4]].concat());
        let old: Invite = format!("{PREFIX}{whole}").parse().unwrap();
        assert_eq!(old.checkpoint, None);
        assert_eq!(old.to_string(), format!("{PREFIX}{whole}"));
        let checkpoint = Some(Checkpoint {
            height: 7,
            block: larder_types::BlockHash([9; 32]),
        });
        let new = Invite { checkpoint, ..old };
        assert_eq!(new.to_string().parse(), Ok(new));
    }
}
