//! `larder completions`, `larder man`, `larder version`: texts that need no node.

use super::args::Cli;
use super::exit::Failure;
use super::output::Out;
use clap::CommandFactory as _;
use clap_complete::Shell;
use serde_json::json;
use std::path::Path;

pub(super) fn completions(shell: Shell, out: Out) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "larder", &mut text);
    out.raw(&text)
}

pub(super) fn man(dir: Option<&Path>, out: Out) -> Result<(), Failure> {
    if let Some(dir) = dir {
        std::fs::create_dir_all(dir)?;
        return Ok(clap_mangen::generate_to(Cli::command(), dir)?);
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut text)?;
    out.raw(&text)
}

pub(super) fn version(out: Out) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    out.object(&json!({ "message_type": "summary", "version": version }))?;
    out.line(format_args!("larder {version}"))
}
