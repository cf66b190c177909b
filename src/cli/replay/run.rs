//! A recorded run through the whole daemon: the same inputs, hence the same decisions, and the
//! same bytes to the router. The first difference is told.

use super::super::record::{Note, next_note};
use super::other::Other;
use super::{Exit, failed};
use crate::cli::run;
use crate::config::Config;
use crate::daemon::Reloader;
use crate::observe;
use crate::types::Instant;
use std::cell::{Cell, RefCell};
use std::io::Write as _;
use std::path::Path;
use std::rc::Rc;
use wanctl_hal::record::{Cut, End, Playback, Player, Recording};

/// Later than any recording.
const FOR_EVER: Instant = Instant::from_nanos(u64::MAX);

thread_local! {
    /// The wall clock of the recording, for the log lines. (Old ARM has no 64-bit atomics; one thread needs none.)
    static SECONDS: Cell<u64> = const { Cell::new(0) };
}

/// Log lines are data here.
fn print(line: &[u8]) -> bool {
    std::io::stdout().write_all(line).is_ok()
}

pub(super) fn main(file: &Path, content: &[u8], other: Option<&Path>) -> Exit {
    let recording = match Recording::read(content) {
        Ok(recording) => recording,
        Err(damage) => return failed(&format!("{} {damage}", file.display())),
    };
    let cut = recording.cut();
    let board = Playback::new(recording);
    let player = board.player();
    let Some(Note::Start { program, at, configuration }) = next_note(&player) else {
        return failed(&format!("{} does not begin with a configuration: there is nothing to replay", file.display()));
    };
    if program != env!("CARGO_PKG_VERSION") {
        eprintln!("recorded by wanctl {program}; this is {}", env!("CARGO_PKG_VERSION"));
    }
    let (config, warnings) = match configuration.parse() {
        Ok(found) => found,
        Err(faults) => return failed(&format!("the recorded configuration is not valid for this program:\n{faults}")),
    };
    let mut other = match other.map(|path| configuration.parse_other(path)).transpose() {
        Ok(other) => other.map(|(config, _)| Other::new(config)),
        Err(faults) => {
            eprintln!("{faults}");
            return Exit::BadConfig;
        }
    };
    let level = if other.is_some() { log::LevelFilter::Off } else { config.log_level };
    SECONDS.set(at);
    observe::install(level, config.log_format, None, print, || SECONDS.get());
    warnings.iter().for_each(|warning| log::warn!("{warning}"));
    let cycles = play(board, config, &player, other.as_mut());
    verdict(cycles, cut, &player.borrow(), other.as_ref())
}

/// Plays to the end, or to the first difference; returns the number of cycles.
fn play(board: Playback, config: Config, player: &Rc<RefCell<Player>>, mut other: Option<&mut Other>) -> u64 {
    let address = |_: &Config, _: &_| match next_note(player) {
        Some(Note::Router(address)) => Ok(address),
        _ => Err("the run ended before the router was found".to_owned()),
    };
    let mut daemon = match run::daemon(board, config, address, reloader(Rc::clone(player))) {
        Ok(daemon) => daemon,
        Err(message) => {
            log::error!("{message}");
            player.borrow_mut().stopped();
            return 0;
        }
    };
    if let Some(other) = &mut other {
        other.begin(&daemon);
    }
    while !player.borrow().is_over() {
        let (ready, clock) = daemon.sleep(FOR_EVER);
        if player.borrow().is_over() {
            break;
        }
        SECONDS.set(clock.wall.unix_seconds());
        if let Some(other) = &mut other {
            other.before(&daemon);
        }
        if daemon.turn(ready, clock) {
            player.borrow_mut().stopped();
            break;
        }
        if let Some(other) = &mut other {
            other.after(&daemon, clock.now);
        }
    }
    daemon.counters().cycles
}

/// A reload gives what it gave then.
fn reloader(player: Rc<RefCell<Player>>) -> Reloader {
    Box::new(move |_| match next_note(&player) {
        Some(Note::Reload(Ok(configuration))) => match configuration.parse() {
            Ok((config, warnings)) => {
                warnings.iter().for_each(|warning| log::warn!("{warning}"));
                Ok(config)
            }
            Err(faults) => {
                faults.to_string().lines().for_each(|line| log::error!("{line}"));
                Err(u32::try_from(faults.faults.len()).unwrap_or(u32::MAX))
            }
        },
        Some(Note::Reload(Err(faults))) => Err(faults),
        _ => Err(1),
    })
}

fn verdict(cycles: u64, cut: Option<Cut>, player: &Player, other: Option<&Other>) -> Exit {
    if let Some(divergence) = player.divergence() {
        let at = divergence.at.as_secs_f64();
        println!("not as recorded in cycle {cycles}, {at:.3} s after the start\n{divergence}");
        return Exit::Failed;
    }
    let end = match (player.end(), cut) {
        (Some(End::Stopped), _) => String::new(),
        (Some(End::Full), _) => " up to where the recording had reached its size".to_owned(),
        (Some(End::Withheld), _) => {
            " up to where the recording had to stop: the password would have got into it".to_owned()
        }
        (None, Some(Cut { offset, left })) => {
            format!(" up to byte {offset}, where the file was cut off: {left} bytes behind it are no whole block")
        }
        (None, None) => " up to the last block: the program was killed".to_owned(),
    };
    let line = format!("replayed {cycles} cycles, identical{end}");
    match other {
        None => println!("{line}"),
        Some(other) => eprintln!("{line}; the other configuration decides differently in {}", other.different()),
    }
    Exit::Ok
}
