//! How local programs find a running node: `rpc.json` in its home says where it listens, `cookie`
//! beside it opens the door. Both are there only while the node runs; a crash may leave them
//! behind, and then nothing answers at the address.

use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where a node listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// The address of the one HTTP port.
    pub address: SocketAddr,
    /// The node's process.
    pub pid: u32,
}

/// The cookie's path in a home.
#[must_use]
pub fn cookie_path(home: &Path) -> PathBuf {
    home.join("cookie")
}

fn endpoint_path(home: &Path) -> PathBuf {
    home.join("rpc.json")
}

impl Endpoint {
    /// This process's node, listening at `address`.
    #[must_use]
    pub fn own(address: SocketAddr) -> Self {
        Self {
            address,
            pid: std::process::id(),
        }
    }

    /// The base URL, `http://127.0.0.1:4730`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes it known in `home`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn publish(&self, home: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        let path = endpoint_path(home);
        let fresh = path.with_extension("json.new");
        fs::write(&fresh, text)?;
        fs::rename(fresh, path)
    }

    /// Takes endpoint and cookie out of `home`; what is not there is no error.
    ///
    /// # Errors
    /// If a file is there and cannot be removed.
    pub fn withdraw(home: &Path) -> io::Result<()> {
        for path in [endpoint_path(home), cookie_path(home)] {
            match fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// What the node of `home` made known; `None` if none runs there.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub fn read(home: &Path) -> io::Result<Option<Self>> {
        match fs::read(endpoint_path(home)) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_found_until_it_is_withdrawn() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(Endpoint::read(home.path()).unwrap(), None);
        let endpoint = Endpoint::own("127.0.0.1:4730".parse().unwrap());
        endpoint.publish(home.path()).unwrap();
        assert_eq!(endpoint.url(), "http://127.0.0.1:4730");
        assert_eq!(Endpoint::read(home.path()).unwrap(), Some(endpoint));
        Endpoint::withdraw(home.path()).unwrap();
        Endpoint::withdraw(home.path()).unwrap();
        assert_eq!(Endpoint::read(home.path()).unwrap(), None);
    }
}
