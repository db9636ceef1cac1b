//! Writes the seeds of every target where libFuzzer looks for them:
//! `cargo run -p larder-fuzz --example seeds DIR`.

use larder_fuzz::targets;
use std::path::PathBuf;
use std::{env, fs, io};

#[expect(
    clippy::disallowed_methods,
    reason = "it writes files: the one thing that acts here"
)]
fn main() -> io::Result<()> {
    let Some(dir) = env::args_os().nth(1) else {
        return Err(io::Error::other("usage: seeds DIR"));
    };
    for target in targets::all() {
        let dir = PathBuf::from(&dir).join(target.name);
        fs::create_dir_all(&dir)?;
        for (n, seed) in target.seeds().into_iter().enumerate() {
            fs::write(dir.join(format!("seed-{n}")), seed)?;
        }
    }
    Ok(())
}
