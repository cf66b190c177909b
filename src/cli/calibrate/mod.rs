//! `wanctl calibrate`: finds ceiling, floor, thresholds and overhead of a line, with the evidence.
//!
//! [`Search`] is the method (pure), [`Session`] carries it out on a machine and gives the limits back
//! whatever happens; the rest is for people.

mod console;
mod plot;
mod propose;
mod search;
mod series;
mod session;

pub use plot::svg;
pub use search::{Failure, Found, Kind, News, Options, Row, Search};
pub use series::{Idle, Loaded, Probe, Series};
pub use session::{End, Host, Session};

use super::{Exit, bad_config, run};
use crate::config::{self, Config, Url, WanConfig};
use crate::daemon::Store;
use crate::types::{Bitrate, Direction, Duration, RateRange};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use console::{Console, tell};
use std::ffi::OsStr;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use wanctl_hal::Board as _;
use wanctl_hal::linux::{Transfer, process, resolve};

/// How long a transfer is waited for: one that people start, and one of our own.
const PATIENCE: Duration = Duration::from_secs(180);
const OWN_PATIENCE: Duration = Duration::from_secs(30);

/// The lowest limit that is ever set.
const LEAST: Bitrate = Bitrate::from_bps(64_000);

/// The highest limit that RouterOS takes.
const MOST: Bitrate = Bitrate::from_mbps(400_000);

/// A lifted limit, as a multiple of the ceiling of the file, which may be a guess.
const LIFT: f64 = 10.0;

const AFTER: &str = "\
Lifts the limits of the WAN's queues while a transfer runs, tries lower ones,
and gives the router its own limits back: at the end, on Ctrl-C, when anything
fails; killed, at the next `run` or `calibrate`. Not while `run` is active.
Takes two to five minutes, 40 to 100 s of them at full speed in each direction.";

/// The command and its arguments.
pub(super) fn command(config: Arg) -> Command {
    let text = |name: &'static str, value: &'static str| Arg::new(name).long(name).value_name(value);
    Command::new("calibrate")
        .about("Find out what a line carries, and propose a configuration")
        .arg(config)
        .arg(text("wan", "NAME").help("Which WAN, if there are several"))
        .arg(
            text("only", "DIRECTION")
                .value_parser(clap::builder::PossibleValuesParser::new(["download", "upload"]))
                .hide_possible_values(true)
                .help("download or upload, instead of both"),
        )
        .arg(
            text("load", "URL").help(
                "Make the transfers: GET and POST to URL (http, https),\n8 at a time; else you are asked for them",
            ),
        )
        .arg(
            text("max", "RATE")
                .value_parser(rate)
                .help("Where a lifted limit is, such as 2G\n[default: ten times the ceiling]"),
        )
        .arg(text("idle", "TIME").value_parser(span).default_value("15s").help("How long the idle line is watched"))
        .arg(text("plot", "FILE").value_parser(value_parser!(PathBuf)).help("Draw the evidence (SVG)"))
        .arg(
            Arg::new("restore")
                .long("restore")
                .action(ArgAction::SetTrue)
                .help("Only give back limits that a killed run has left"),
        )
        // How it starts itself anew after a panic: not a success, whatever comes of it.
        .arg(Arg::new("failed").long("failed").action(ArgAction::SetTrue).hide(true))
        .after_help(AFTER)
}

fn span(text: &str) -> Result<Duration, String> {
    let right = "not a time: such as 15s, from 3s to 10m";
    let range = Duration::from_secs(3)..=Duration::from_secs(600);
    config::duration(text).filter(|span| range.contains(span)).ok_or_else(|| right.to_owned())
}

fn rate(text: &str) -> Result<Bitrate, String> {
    let right = "not a rate: such as 900M or 2G, from 64k to 400G";
    config::rate(text).filter(|rate| (LEAST..=MOST).contains(rate)).ok_or_else(|| right.to_owned())
}

pub(super) fn main(path: &Path, matches: &ArgMatches) -> Exit {
    let env = |name: &str| std::env::var(name).ok();
    let read = config::text(path).and_then(|text| {
        let directory = path.parent().unwrap_or(Path::new("."));
        config::parse(&text, &path.display().to_string(), directory, &env).map(|(config, _)| (text, config))
    });
    let (text, config) = match read {
        Ok(read) => read,
        Err(faults) => return bad_config(&faults),
    };
    let asked = match Asked::new(matches, &config) {
        Ok(asked) => asked,
        Err(why) => {
            tell(&format!("error: {why}"));
            return Exit::BadConfig;
        }
    };
    match calibrate(path, &text, config, &asked) {
        Ok(exit) => exit,
        Err(why) => {
            tell(&format!("error: {why}"));
            Exit::Failed
        }
    }
}

/// What the user has asked for.
struct Asked {
    /// Which WAN, by its place in the file.
    place: usize,
    options: Options,
    load: Option<(Url, String)>,
    plot: Option<PathBuf>,
    /// Nothing but that, and how it then ends.
    restore: Option<Exit>,
}

impl Asked {
    fn new(matches: &ArgMatches, config: &Config) -> Result<Self, String> {
        let given = |name| matches.get_one::<String>(name).map(String::as_str);
        let names: Vec<&str> = config.wans.iter().map(|wan| wan.name.as_str()).collect();
        let place = match given("wan") {
            None if names.len() > 1 => return Err(format!("--wan is missing: one of {}", names.join(", "))),
            None => 0,
            Some(name) => {
                let right = || format!("--wan {name}: there is no such WAN in the file; it has {}", names.join(", "));
                names.iter().position(|n| *n == name).ok_or_else(right)?
            }
        };
        let ceiling = config.wans[place].ranges.map(RateRange::ceiling).into_iter().max().unwrap_or(LEAST);
        let most = matches.get_one::<Bitrate>("max").copied();
        let most = most.unwrap_or_else(|| Bitrate::from_f64(ceiling.as_f64() * LIFT).clamp(LEAST, MOST));
        let only = given("only");
        let options = Options {
            directions: Direction::BOTH.map(|d| only.is_none_or(|only| only == d.name())),
            range: RateRange::new(LEAST, most).ok_or("--max is too low")?,
            idle: matches.get_one::<Duration>("idle").copied().unwrap_or(Duration::from_secs(15)),
            patience: if given("load").is_some() { OWN_PATIENCE } else { PATIENCE },
        };
        let load = given("load").map(|url| {
            let right =
                || format!("--load {url}: must be http://HOST[:PORT]/PATH or https://…, the address of a big file");
            Url::with_path(url).ok_or_else(right)
        });
        let plot = matches.get_one::<PathBuf>("plot").cloned();
        let restored = if matches.get_flag("failed") { Exit::Failed } else { Exit::Ok };
        let restore = matches.get_flag("restore").then_some(restored);
        Ok(Self { place, options, load: load.transpose()?, plot, restore })
    }

    /// What `--load` asks for; nothing either where the look-up of its name was stopped, which the session sees next.
    fn transfer(&self, wan: &WanConfig, stop: &dyn Fn() -> bool) -> Result<Option<Transfer>, String> {
        let Some((url, path)) = &self.load else { return Ok(None) };
        let Some(ip) = resolve::resolve(&url.host, Duration::from_secs(5), stop) else {
            let why = || format!("--load: the name \"{}\" can't be looked up", url.host);
            return if stop() { Ok(None) } else { Err(why()) };
        };
        Ok(Some(Transfer {
            to: SocketAddr::new(ip, url.port),
            source: wan.source.clone(),
            host: url.host_header(),
            tls: url.tls.then(|| url.host.clone()),
            path: path.clone(),
            upload: false,
        }))
    }
}

fn calibrate(path: &Path, text: &str, config: Config, asked: &Asked) -> Result<Exit, String> {
    let mut board = run::board(&config)?;
    restore_after_panic(path);
    let stop = board.stop_asked();
    let router = run::router_address(&config, &Store::default().load_state(&mut board), &stop)?;
    let mut console = Console { transfer: asked.transfer(&config.wans[asked.place], &stop)?, load: None };
    let start = board.clock().now;
    let mut session = Session::new(board, config, asked.place, router, asked.options)?;
    if let Some(exit) = asked.restore {
        return Ok(told(session.restore(&mut console), exit));
    }
    tell(&format!(
        "wan \"{}\": the idle line is watched for {:?}; leave it alone. Ctrl-C ends this at any time, and gives the \
         limits back",
        session.wan().name,
        asked.options.idle
    ));
    let (end, restored) = session.run(&mut console);
    drop(console);
    let unfilled = |d| session.search().found(d).is_some_and(|found| !found.is_filled());
    let exit = match end {
        End::Done if Direction::BOTH.into_iter().any(unfilled) => Exit::Failed,
        End::Done => Exit::Ok,
        End::Stopped => Exit::Interrupted,
        End::Failed(why) => {
            tell(&format!("error: {why}"));
            Exit::Failed
        }
    };
    let exit = told(restored, exit);
    let now = session.board().clock().now;
    if let Some(file) = asked.plot.as_ref().filter(|_| session.search().idle().is_some()) {
        let picture = plot::svg(session.wan().name.as_str(), session.search(), start, now);
        std::fs::write(file, picture).map_err(|e| format!("--plot {}: {e}", file.display()))?;
    }
    if end_is_useful(session.search()) {
        let proposal = proposal(text, path, asked.place, session.wan(), session.search());
        let _ = std::io::stdout().write_all(proposal.as_bytes());
    }
    Ok(exit)
}

/// Whether anything is known that is worth a proposal.
fn end_is_useful(search: &Search) -> bool {
    Direction::BOTH.into_iter().any(|direction| search.found(direction).is_some_and(Found::is_filled))
}

/// Whether the router has its limits back.
fn told(restored: bool, exit: Exit) -> Exit {
    if restored {
        tell("The router has its own limits back.");
        return exit;
    }
    tell(
        "error: the router has NOT confirmed its own limits. They are kept: the end of the next `wanctl run` gives them \
         back, or `wanctl calibrate --restore` as soon as the router answers",
    );
    Exit::Failed
}

/// The user's file with what was found; the evidence above it. Where the file can't be edited, the keys alone.
#[must_use]
pub fn proposal(text: &str, path: &Path, place: usize, wan: &WanConfig, search: &Search) -> String {
    let changes = propose::changes(wan, search);
    let evidence = propose::evidence(wan, search);
    let edited = propose::edit(text, place, &changes);
    let directory = path.parent().unwrap_or(Path::new("."));
    let is_right = |config: &Config| {
        let ranges = config.wans.get(place).map(|wan| wan.ranges);
        Direction::BOTH.into_iter().all(|d| {
            let found = search.found(d).filter(|found| found.is_filled()).map(|found| found.ceiling);
            let ceiling = ranges.map_or(0.0, |ranges| ranges[d.index()].ceiling().as_f64());
            found.is_none_or(|found| (0.98..1.001).contains(&(ceiling / found)))
        })
    };
    match config::parse(&edited, "proposal", directory, &|name| std::env::var(name).ok()) {
        Ok((config, _)) if is_right(&config) => evidence + &edited,
        result => {
            let why = result.err().map(|faults| faults.to_string()).unwrap_or_default();
            tell(&format!("{why}\nYour file can't simply be edited; these are the keys for [[wan]] \"{}\":", wan.name));
            evidence + &propose::fragment(&changes)
        }
    }
}

/// The shipped program ends where it panics, without going back through anything. So it becomes a new
/// one then, which finds the originals in the journal.
fn restore_after_panic(path: &Path) {
    let path = path.to_owned();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        before(info);
        let arguments = ["calibrate", "--restore", "--failed", "--config"].map(OsStr::new);
        let error = process::start_anew(&[&arguments[..], &[path.as_os_str()]].concat());
        tell(&format!("the limits can't be given back now: {error}; `wanctl calibrate --restore` does it"));
    }));
}
