//! `wanctl run`: the daemon on the real machine.

use super::Exit;
use super::record::{self, Notes, Wish};
use crate::config::{self, Config, Faults, Process, Url, Warning};
use crate::daemon::{Daemon, Problem, Reloader, Restored, Setup, Store};
use crate::observe::{self, Collector};
use crate::types::Duration;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use wanctl_hal::Board;
use wanctl_hal::linux::process::{self, User};
use wanctl_hal::linux::{self, LinuxBoard, StateDirectory};
use wanctl_hal::record::{Recorder, Tape};

/// Longest time to look the router's name up before the first cycle.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn main(path: &Path, record: Option<&Wish>) -> Exit {
    let Read { text, config, warnings } = match read(path) {
        Ok(found) => found,
        Err(faults) => {
            eprintln!("{faults}");
            return Exit::BadConfig;
        }
    };
    // From here on every line has the form that the file asks for.
    let collector = config.log_collector.map(|to| (to, linux::open_syslog(to)));
    let sink = collector.is_some().then(|| Collector { send: linux::write_syslog, host: linux::host_name() });
    observe::install(config.log_level, config.log_format, sink, linux::write_stderr, linux::unix_seconds);
    if let Some((to, Err(error))) = collector {
        // A collector that can't be reached now is no reason to leave the line alone.
        log::warn!("log.syslog = \"{to}\": {error}; nothing goes there until the next start");
    }
    warnings.iter().for_each(|warning| log::warn!("{warning}"));
    let run = board(&config).and_then(|machine| {
        let stop = machine.stop_asked();
        let run = match record {
            None => plainly(machine, config, path, &stop),
            Some(wish) => recorded(machine, config, &text, path, wish, &stop),
        };
        match run {
            Err(why) if stop() => log::info!("stopped before the first cycle: {why}"),
            other => other?,
        }
        Ok(())
    });
    match run {
        Ok(()) => Exit::Ok,
        Err(message) => {
            log::error!("{message}");
            Exit::Failed
        }
    }
}

fn plainly(machine: LinuxBoard, config: Config, path: &Path, stop: &dyn Fn() -> bool) -> Result<(), String> {
    let reloader = reloader(path.to_owned(), |_| {});
    let settled = Settled::of(&config);
    let mut daemon = daemon(machine, config, |config, restored| router_address(config, restored, stop), reloader)?;
    settled.settle()?;
    daemon.run();
    Ok(())
}

/// The same, with everything written down that the daemon is told.
fn recorded(
    machine: LinuxBoard,
    config: Config,
    text: &str,
    path: &Path,
    wish: &Wish,
    stop: &dyn Fn() -> bool,
) -> Result<(), String> {
    record::check(path, text, &config)?;
    let tape = Tape::create(&wish.path, wish.size).map_err(|e| format!("--record {}: {e}", wish.path.display()))?;
    let board = Recorder::new(machine, tape);
    let notes = Rc::new(RefCell::new(Notes::new(board.tape(), path)));
    notes.borrow_mut().start(text, &config)?;
    log::info!("recording into {}, at most {} bytes", wish.path.display(), wish.size);
    let noted = Rc::clone(&notes);
    let reloader = reloader(path.to_owned(), move |result| noted.borrow_mut().reload(result));
    let address = |config: &Config, restored: &Restored| {
        router_address(config, restored, stop).inspect(|address| notes.borrow().router(*address))
    };
    let settled = Settled::of(&config);
    let mut daemon = daemon(board, config, address, reloader)?;
    settled.settle()?;
    daemon.run();
    Ok(())
}

/// What the process becomes when all sockets are open, all secrets read and all memory taken.
struct Settled {
    process: Process,
    /// Some probes are marked, which is a right of its own.
    marks: bool,
}

impl Settled {
    fn of(config: &Config) -> Self {
        Self { process: config.process.clone(), marks: config.wans.iter().any(|wan| wan.source.mark.is_some()) }
    }

    fn settle(self) -> Result<(), String> {
        let Process { user, realtime, lock_memory } = &self.process;
        if *lock_memory {
            let remedy = "give CAP_IPC_LOCK or a higher LimitMEMLOCK, or leave the key out";
            process::lock_memory().map_err(|e| format!("daemon.lock_memory = true: {e}; {remedy}"))?;
        }
        if *realtime > 0 {
            let remedy = "give CAP_SYS_NICE or LimitRTPRIO, or leave the key out";
            process::set_realtime(*realtime).map_err(|e| format!("daemon.realtime = {realtime}: {e}; {remedy}"))?;
        }
        let Some(name) = user else { return Ok(()) };
        if !process::is_root() {
            log::info!("daemon.user = \"{name}\" is for a start as root; this is another user already");
            return Ok(());
        }
        process::become_user(find_user(name)?, self.marks).map_err(|e| format!("daemon.user = \"{name}\": {e}"))?;
        log::info!("from now on with the rights of \"{name}\": a reload can read only what that user may read");
        Ok(())
    }
}

fn find_user(name: &str) -> Result<User, String> {
    User::find(name).ok_or_else(|| {
        format!(
            "daemon.user = \"{name}\": there is no such user in /etc/passwd; uid:gid, such as \"65534:65534\", will do"
        )
    })
}

/// A configuration and its text.
struct Read {
    text: String,
    config: Config,
    warnings: Vec<Warning>,
}

fn read(path: &Path) -> Result<Read, Faults> {
    let text = config::text(path)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    let env = |name: &str| std::env::var(name).ok();
    let (config, warnings) = config::parse(&text, &path.display().to_string(), directory, &env)?;
    Ok(Read { text, config, warnings })
}

/// The machine as the configuration wants it: its state directory locked, its signals watched.
pub(super) fn board(config: &Config) -> Result<LinuxBoard, String> {
    let directory = StateDirectory::open(&config.state_directory).map_err(|e| e.to_string())?;
    if let Some(name) = config.process.user.as_ref().filter(|_| process::is_root()) {
        directory.give_to(find_user(name)?).map_err(|e| format!("daemon.user = \"{name}\": {e}"))?;
    }
    let mut board = LinuxBoard::new(directory, &config.router.target()).map_err(|e| e.to_string())?;
    board.answer_to_manager();
    board.watch_signals().map_err(|e| format!("signals can't be watched: {e}"))?;
    Ok(board)
}

/// The daemon on this board, with what earlier runs have left there; `address` finds the router.
pub(super) fn daemon<B: Board>(
    mut board: B,
    config: Config,
    address: impl FnOnce(&Config, &Restored) -> Result<SocketAddr, String>,
    reloader: Reloader,
) -> Result<Daemon<B>, String> {
    let mut store = Store::default();
    let restored = store.load_state(&mut board);
    for (file, why) in &restored.unusable {
        log::warn!("{} in {} is {why}; passed over", file.name(), config.state_directory.display());
    }
    let router = address(&config, &restored)?;
    log::info!(
        "wanctl {} starts: {} WANs, cycle {:?}, router {}",
        env!("CARGO_PKG_VERSION"),
        config.wans.len(),
        config.cycle,
        config.router.url
    );
    Daemon::new(Setup { board, config, router, reloader, store, restored }).map_err(|e: Problem| e.to_string())
}

/// Reads the file anew when asked to; all faults go to the log, and what came of it to `told`.
fn reloader(path: PathBuf, mut told: impl FnMut(Result<(&str, &Config), u32>) + 'static) -> Reloader {
    Box::new(move |current| {
        let result = reread(&path, current);
        told(result.as_ref().map(|read| (read.text.as_str(), &read.config)).map_err(|faults| *faults));
        result.map(|read| read.config)
    })
}

fn reread(path: &Path, current: &Config) -> Result<Read, u32> {
    let read = read(path).map_err(|faults| {
        if let Some(user) = current.process.user.as_ref().filter(|_| !process::is_root()) {
            log::warn!("read with the rights of \"{user}\" (daemon.user); what only root may read needs a restart");
        }
        faults.to_string().lines().for_each(|line| log::error!("{line}"));
        u32::try_from(faults.faults.len()).unwrap_or(u32::MAX)
    })?;
    read.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    if read.config.state_directory != current.state_directory {
        log::error!("state.directory can't be changed by a reload; restart for that");
        return Err(1);
    }
    if read.config.process != current.process {
        log::error!("[daemon] can't be changed by a reload; restart for that");
        return Err(1);
    }
    let place = |config: &Config| (config.router.url.host.clone(), config.router.url.port);
    if place(&read.config) != place(current) {
        log::error!("router.url can't be changed by a reload: the old router would keep our limits; restart for that");
        return Err(1);
    }
    Ok(read)
}

/// The router's address: literal, looked up, or the one of last time.
pub(super) fn router_address(
    config: &Config,
    restored: &Restored,
    stop: &dyn Fn() -> bool,
) -> Result<SocketAddr, String> {
    look_up(&config.router.url, restored, stop)
}

/// The address of what is at `url`; not looked for any longer when `stop` says so.
pub(super) fn look_up(url: &Url, restored: &Restored, stop: &dyn Fn() -> bool) -> Result<SocketAddr, String> {
    if let Some(ip) = linux::resolve::resolve(&url.host, RESOLVE_PATIENCE, stop) {
        return Ok(SocketAddr::new(ip, url.port));
    }
    if let Some(last) = restored.router {
        log::warn!("router.url: \"{}\" can't be looked up now; using its last address {}", url.host, last.ip());
        return Ok(SocketAddr::new(last.ip(), url.port));
    }
    Err(format!("router.url: the name \"{}\" can't be looked up; an address literal needs no look-up", url.host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_knows_has_the_address_of_last_time() {
        // No host name, so that no name server is asked: it fails as one that is gone.
        let never = || false;
        let url = Url { host: "router..lan".to_owned(), port: 8443, tls: true };
        let last = Restored { router: "192.0.2.1:443".parse().ok(), ..Restored::default() };
        assert_eq!(look_up(&url, &last, &never), Ok("192.0.2.1:8443".parse().unwrap()));
        assert!(look_up(&url, &Restored::default(), &never).unwrap_err().contains("router..lan"));
        let literal = Url { host: "192.0.2.9".to_owned(), ..url };
        assert_eq!(look_up(&literal, &last, &never), Ok("192.0.2.9:8443".parse().unwrap()));
    }
}
