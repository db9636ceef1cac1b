//! The node and the reference, as processes.

use larder_rpc::{Client, Empty};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A process that ends with its handle.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A node that founds a network and makes its blocks.
pub(crate) struct Node {
    pub(crate) at: SocketAddr,
    pub(crate) bearer: String,
    pub(crate) account: String,
    process: Running,
    home: TempDir,
}

impl Node {
    pub(crate) fn start(binary: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let larder = |words: &[&str]| {
            let mut command = Command::new(binary);
            command
                .args(["--json", "--home"])
                .arg(home.path())
                .args(words);
            command
        };
        let made = larder(&["init", "--new-network", "--epoch", "8s"])
            .output()
            .unwrap();
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        let up = [
            "up",
            "--validate",
            "--rpc",
            "127.0.0.1:0",
            "--listen",
            "/ip4/127.0.0.1/tcp/0",
        ];
        let mut child = larder(&up)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = first_line(&mut child);
        let ready: Value = serde_json::from_str(&said).unwrap();
        let url = ready["rpc"].as_str().unwrap();
        let cookie = std::fs::read_to_string(home.path().join("cookie")).unwrap();
        Self {
            at: url.strip_prefix("http://").unwrap().parse().unwrap(),
            bearer: format!("Bearer {cookie}"),
            account: made["account"].as_str().unwrap().to_owned(),
            process: Running(child),
            home,
        }
    }

    /// The newest block's height.
    pub(crate) async fn height(&self) -> u64 {
        let client = Client::of_home(self.home.path()).unwrap();
        client.chain_head(&Empty {}).await.unwrap().height
    }

    /// How many blocks it makes in a while.
    pub(crate) async fn blocks(&self, time: Duration) -> u64 {
        let before = self.height().await;
        tokio::time::sleep(time).await;
        self.height().await - before
    }

    /// Its memory in KiB.
    pub(crate) fn rss(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.0.id());
        let text = std::fs::read_to_string(Path::new(&path)).unwrap();
        let line = text.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// The bare server: this program again.
pub(crate) fn echo() -> (Running, SocketAddr) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut child = command.arg("echo").stdout(Stdio::piped()).spawn().unwrap();
    let at = first_line(&mut child).parse().unwrap();
    (Running(child), at)
}

fn first_line(child: &mut Child) -> String {
    let mut said = String::new();
    let out = child.stdout.take().unwrap();
    BufReader::new(out).read_line(&mut said).unwrap();
    said.trim().to_owned()
}
