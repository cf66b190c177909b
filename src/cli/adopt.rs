//! `wanctl adopt`: what the router has now becomes the operator's original.

use super::{Exit, load};
use std::path::Path;
use wanctl_hal::StoreFile;
use wanctl_hal::linux::StateDirectory;

pub(super) fn main(path: &Path) -> Exit {
    let config = match load(path) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    // The lock keeps a running daemon from being undermined.
    if let Err(error) = StateDirectory::open(&config.state_directory) {
        eprintln!("error: {error}");
        return Exit::Failed;
    }
    let file = config.state_directory.join(StoreFile::Originals.name());
    match std::fs::remove_file(&file) {
        Ok(()) => {
            eprintln!("forgotten; the next `wanctl run` takes the limits it finds on the router as your originals");
            Exit::Ok
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("no originals were kept; the next `wanctl run` takes the limits it finds on the router");
            Exit::Ok
        }
        Err(error) => {
            eprintln!("error: {} can't be removed: {error}", file.display());
            Exit::Failed
        }
    }
}
