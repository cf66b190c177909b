//! `wanctl run`: the daemon on the real machine.

use super::Exit;
use crate::config::{self, Config};
use crate::daemon::{Daemon, Problem, Reloader, Restored, Setup, Store};
use crate::observe;
use crate::types::Duration;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use wanctl_hal::Board;
use wanctl_hal::linux::{self, LinuxBoard, StateDirectory};

/// Longest time to look the router's name up before the first cycle.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn main(path: &Path) -> Exit {
    let (config, warnings) = match config::load(path, &|name| std::env::var(name).ok()) {
        Ok(found) => found,
        Err(faults) => {
            eprintln!("{faults}");
            return Exit::BadConfig;
        }
    };
    // From here on every line has the form that the file asks for.
    observe::install(config.log_level, config.log_format, linux::write_stderr, linux::unix_seconds);
    warnings.iter().for_each(|warning| log::warn!("{warning}"));
    match start(config, path) {
        Ok(mut daemon) => {
            daemon.run();
            Exit::Ok
        }
        Err(message) => {
            log::error!("{message}");
            Exit::Failed
        }
    }
}

fn start(config: Config, path: &Path) -> Result<Daemon<LinuxBoard>, String> {
    let reloader = reloader(path.to_owned());
    daemon(board(&config)?, config, reloader)
}

/// The machine as the configuration wants it: its state directory locked, its signals watched.
pub(super) fn board(config: &Config) -> Result<LinuxBoard, String> {
    let directory = StateDirectory::open(&config.state_directory).map_err(|e| e.to_string())?;
    let mut board = LinuxBoard::new(directory, &config.router.target()).map_err(|e| e.to_string())?;
    board.watch_signals().map_err(|e| format!("signals can't be watched: {e}"))?;
    Ok(board)
}

/// The daemon on this board, with what earlier runs have left there.
pub(super) fn daemon<B: Board>(mut board: B, config: Config, reloader: Reloader) -> Result<Daemon<B>, String> {
    let mut store = Store::default();
    let restored = store.load_state(&mut board);
    for (file, why) in &restored.unusable {
        log::warn!("{} in {} is {why}; passed over", file.name(), config.state_directory.display());
    }
    let router = router_address(&config, &restored)?;
    log::info!(
        "wanctl {} starts: {} WANs, cycle {:?}, router {}",
        env!("CARGO_PKG_VERSION"),
        config.wans.len(),
        config.cycle,
        config.router.url
    );
    Daemon::new(Setup { board, config, router, reloader, store, restored }).map_err(|e: Problem| e.to_string())
}

/// Reads the file anew when asked to; all faults go to the log.
fn reloader(path: PathBuf) -> Reloader {
    Box::new(move |current| {
        let (config, warnings) = config::load(&path, &|name| std::env::var(name).ok()).map_err(|faults| {
            faults.to_string().lines().for_each(|line| log::error!("{line}"));
            u32::try_from(faults.faults.len()).unwrap_or(u32::MAX)
        })?;
        warnings.iter().for_each(|warning| log::warn!("{warning}"));
        if config.state_directory != current.state_directory {
            log::error!("state.directory can't be changed by a reload; restart for that");
            return Err(1);
        }
        if (&config.router.url.host, config.router.url.port) != (&current.router.url.host, current.router.url.port) {
            log::error!(
                "router.url can't be changed by a reload: the old router would keep our limits; restart for that"
            );
            return Err(1);
        }
        Ok(config)
    })
}

/// The router's address: literal, looked up, or the one of last time.
pub(super) fn router_address(config: &Config, restored: &Restored) -> Result<SocketAddr, String> {
    let url = &config.router.url;
    if let Some(ip) = linux::resolve::resolve(&url.host, RESOLVE_PATIENCE) {
        return Ok(SocketAddr::new(ip, url.port));
    }
    if let Some(last) = restored.router {
        log::warn!("router.url: \"{}\" can't be looked up now; using its last address {}", url.host, last.ip());
        return Ok(SocketAddr::new(last.ip(), url.port));
    }
    Err(format!("router.url: the name \"{}\" can't be looked up; an address literal needs no look-up", url.host))
}
