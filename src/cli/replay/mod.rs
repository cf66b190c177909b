//! `wanctl replay`: a recorded run through the whole daemon, or a series of round-trip times
//! through one law. The two are told apart by how the file begins.

mod other;
mod run;
mod trace;

use super::{Exit, load};
use std::path::Path;
use wanctl_hal::record::MAGIC;

/// `given`: the configuration was named on the command line.
pub(super) fn main(config: &Path, given: bool, wan: Option<&str>, file: &Path) -> Exit {
    let content = match std::fs::read(file) {
        Ok(content) => content,
        Err(error) => return failed(&format!("can't read {}: {error}", file.display())),
    };
    if content.starts_with(&MAGIC) {
        return run::main(file, &content, given.then_some(config));
    }
    let Some(wan) = wan else {
        eprintln!("error: {} is no recording of `run --record`; a CSV file needs --wan NAME", file.display());
        return Exit::BadConfig;
    };
    let Ok(csv) = str::from_utf8(&content) else {
        return failed(&format!("{} is neither a recording nor text", file.display()));
    };
    match load(config) {
        Ok(config) => trace::main(&config, wan, file, csv),
        Err(exit) => exit,
    }
}

fn failed(message: &str) -> Exit {
    eprintln!("error: {message}");
    Exit::Failed
}
