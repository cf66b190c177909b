//! One TOML file into settings, or into all its faults at once.
//!
//! Every fault names the file, the line, the key, the value, and what would be right. Nothing is
//! guessed and nothing is ignored: a key nobody reads is a fault. Presets fill in what a link of a
//! kind usually needs, so that a useful file stays short.

mod alert;
mod fault;
mod law;
mod observe;
mod preset;
mod process;
mod read;
mod router;
#[cfg(feature = "sim")]
pub mod scenario;
mod steering;
mod value;
mod wan;

pub use alert::{Alert, AlertConfig};
pub use fault::{Fault, Faults, Problem, Quantity, Warning};
pub use observe::Observe;
pub use preset::{Direction as DirectionPreset, Link, Preset, TARGET_MS};
pub use process::Process;
pub use router::{Router, Secret, Url};
pub use steering::{MAX_PREFIXES, Means, Prefix, SteeringConfig};
pub use value::{duration, rate};
pub use wan::{QueueRef, WanConfig};
pub use wanctl_hal::Trust;

use crate::actuate;
use crate::observe::Format;
use crate::types::{Bitrate, Duration, MAX_WANS};
use core::net::{IpAddr, SocketAddr};
use read::Section;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use wanctl_hal::ProbeSource;

/// How environment variables are looked up.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The router, and how to reach it.
    pub router: Router,
    /// The WANs, in the order of the file.
    pub wans: Vec<WanConfig>,
    /// Where latency-sensitive connections go when a WAN is bad, pair by pair.
    pub steering: Vec<SteeringConfig>,
    /// Length of the control cycle.
    pub cycle: Duration,
    /// How eagerly to write and read.
    pub actuate: actuate::Settings,
    /// What to log.
    pub log_level: log::LevelFilter,
    /// How to log.
    pub log_format: Format,
    /// Who gets every line of the log as well, as syslog over UDP.
    pub log_collector: Option<SocketAddr>,
    /// What can be seen, and by whom.
    pub observe: Observe,
    /// Who is told of what.
    pub alerts: AlertConfig,
    /// Where to keep what must survive a restart.
    pub state_directory: PathBuf,
    /// As whom to run, and how urgently.
    pub process: Process,
}

/// Reads and checks the file.
///
/// # Errors
/// All [`Faults`] of the file.
pub fn load(path: &Path, env: Env<'_>) -> Result<(Config, Vec<Warning>), Faults> {
    parse(&text(path)?, &path.display().to_string(), path.parent().unwrap_or(Path::new(".")), env)
}

/// The text of the file, unchecked.
///
/// # Errors
/// The one fault that it can't be read.
pub fn text(path: &Path) -> Result<String, Faults> {
    std::fs::read_to_string(path).map_err(|error| Faults::unreadable(&path.display().to_string(), path, &error))
}

/// Checks the text of a file; relative paths in it are below `directory`.
///
/// # Errors
/// All [`Faults`] of the text.
pub fn parse(text: &str, file: &str, directory: &Path, env: Env<'_>) -> Result<(Config, Vec<Warning>), Faults> {
    check(read::Context::new(text, file, directory, env))
}

/// The same for the text of a file that was read elsewhere, with what else was read with it: any
/// `password` will do for the real one, `authorities` stand for the file of `ca_file`.
///
/// # Errors
/// All [`Faults`] of the text.
pub fn parse_elsewhere(
    text: &str,
    file: &str,
    password: &str,
    authorities: Option<&[u8]>,
) -> Result<(Config, Vec<Warning>), Faults> {
    let env = |name: &str| (name == router::PASSWORD_VARIABLE).then(|| password.to_owned());
    let directory = Path::new(file).parent().unwrap_or(Path::new("."));
    let mut context = read::Context::new(text, file, directory, &env);
    (context.authorities, context.is_elsewhere) = (authorities, true);
    check(context)
}

fn check(context: read::Context<'_>) -> Result<(Config, Vec<Warning>), Faults> {
    let config = read::document(&context).and_then(|root| sections(&context, &root));
    let (faults, warnings) = context.into_findings();
    match config {
        Some(config) if faults.is_empty() => Ok((config, warnings)),
        _ => Err(faults),
    }
}

/// Where the router is, and how it is known so far: from a file that may still lack what to know
/// it by, and the password.
///
/// # Errors
/// All other [`Faults`] of the file; none of them when the file is good but for those two.
pub fn load_unknown(path: &Path, env: Env<'_>) -> Result<(Url, Option<Trust>), Faults> {
    let faults = match load(path, env) {
        Ok((config, _)) => return Ok((config.router.url, Some(config.router.trust))),
        Err(faults) => faults,
    };
    let is_missing = |fault: &Fault| matches!(fault.problem, Problem::NoTrust | Problem::NoPassword(_));
    if !faults.faults.iter().all(is_missing) {
        return Err(faults);
    }
    let text = text(path)?;
    let context = read::Context::new(&text, &faults.file, path.parent().unwrap_or(Path::new(".")), env);
    let Some(root) = read::document(&context) else { return Err(faults) };
    router::address(&context, &root.section("router")).ok_or(faults)
}

/// The router of a text that has nothing else.
///
/// # Errors
/// All [`Faults`] of the section.
pub fn parse_router(text: &str, file: &str, env: Env<'_>) -> Result<Router, Faults> {
    let context = read::Context::new(text, file, Path::new("."), env);
    let router = read::document(&context).and_then(|root| router::read(&context, &root.section("router")));
    let (faults, _) = context.into_findings();
    router.filter(|_| faults.is_empty()).ok_or(faults)
}

/// Only where it is.
///
/// # Errors
/// What is wrong with its address.
pub fn parse_url(text: &str, file: &str) -> Result<Url, Faults> {
    let context = read::Context::new(text, file, Path::new("."), &|_| None);
    let url = read::document(&context).and_then(|root| router::address(&context, &root.section("router")));
    let (mut faults, _) = context.into_findings();
    faults.faults.retain(|fault| !matches!(fault.problem, Problem::NoTrust));
    url.filter(|_| faults.is_empty()).map(|(url, _)| url).ok_or(faults)
}

/// Who may look in, by a file that need not be whole: the defaults when there is no file.
///
/// # Errors
/// All [`Faults`] of the section; those of the rest are left to [`load`].
pub fn load_observe(path: &Path, env: Env<'_>) -> Result<Observe, Faults> {
    let text = if path.exists() { text(path)? } else { String::new() };
    let file = path.display().to_string();
    let context = read::Context::new(&text, &file, path.parent().unwrap_or(Path::new(".")), env);
    let observe = read::document(&context).map(|root| observe::read(&context, &root.section("observe")));
    let (faults, _) = context.into_findings();
    observe.filter(|_| faults.is_empty()).ok_or(faults)
}

fn sections(context: &read::Context<'_>, root: &Section<'_, '_>) -> Option<Config> {
    let control = root.section("loop");
    let cycle = control
        .duration_in("cycle", Duration::from_millis(10)..=Duration::from_secs(1))
        .unwrap_or(Duration::from_millis(50));
    let actuate = actuate_settings(&control);
    control.finish();
    let log = root.section("log");
    let level = log
        .one_of(
            "level",
            &[
                ("error", log::LevelFilter::Error),
                ("warn", log::LevelFilter::Warn),
                ("info", log::LevelFilter::Info),
                ("debug", log::LevelFilter::Debug),
            ],
        )
        .unwrap_or(log::LevelFilter::Info);
    let format = log.one_of("format", &[("text", Format::Text), ("json", Format::Json)]).unwrap_or_default();
    let collector = collector(&log);
    log.finish();
    let state = root.section("state");
    let directory =
        state.text("directory").map_or_else(|| PathBuf::from("/var/lib/wanctl"), |text| context.path(&text));
    state.finish();
    let observe = observe::read(context, &root.section("observe"));
    let process = process::read(&root.section("daemon"));
    let router = router::read(context, &root.section("router"));
    let wans = root.sections("wan");
    if wans.is_empty() && !root.has("wan") {
        root.fault("wan", Problem::missing("add at least one [[wan]] section"));
    }
    if wans.len() > MAX_WANS {
        root.fault("wan", Problem::NotA { right: format!("at most {MAX_WANS} sections, not {}", wans.len()) });
    }
    let exit = router.as_ref().map(|r| r.exit);
    let read: Vec<Option<WanConfig>> = wans.iter().map(|section| wan::read(section, cycle, exit)).collect();
    twins(&wans);
    if wans.len() > 1 {
        for (section, _) in
            wans.iter().zip(&read).filter(|(_, w)| w.as_ref().is_some_and(|w| w.source == ProbeSource::default()))
        {
            section.warn("source", Problem::NoSource);
        }
    }
    let names: Vec<Option<String>> = wans.iter().map(|wan| wan.peek("name").map(|(name, _)| name)).collect();
    let steering = steering::read(root, &names);
    let alerts = alert::read(context, root, &names);
    root.finish();
    Some(Config {
        router: router?,
        wans: read.into_iter().collect::<Option<Vec<_>>>()?,
        steering: steering?,
        cycle,
        actuate,
        log_level: level,
        log_format: format,
        log_collector: collector,
        observe,
        alerts,
        state_directory: directory,
        process,
    })
}

/// `log.syslog`: a literal, so that nothing has to be looked up before the first line.
fn collector(section: &Section<'_, '_>) -> Option<SocketAddr> {
    const PORT: u16 = 514;
    let text = section.text("syslog")?;
    let alone = || text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, PORT));
    let found = text.parse::<SocketAddr>().ok().filter(|at| at.port() > 0).or_else(alone);
    if found.is_none() {
        section.fault("syslog", Problem::not_a("an address, with a port if it is not 514, such as \"192.168.88.5\""));
    }
    found
}

fn actuate_settings(control: &Section<'_, '_>) -> actuate::Settings {
    let pace = Duration::from_millis(100)..=Duration::from_secs(60);
    let smallest = Bitrate::ZERO..=Bitrate::from_mbps(1000);
    let spacing = Duration::ZERO..=Duration::from_secs(600);
    let whole = |key, range| control.count(key, range).and_then(|n| u32::try_from(n).ok());
    let settings = actuate::Settings {
        rise_fraction: control.number_in("rise_fraction", 0.0..=0.5).unwrap_or(0.01),
        rise_minimum: control.rate_in("rise_minimum", smallest).unwrap_or(Bitrate::from_bps(100_000)),
        rise_spacing: control.duration_in("rise_spacing", spacing).unwrap_or(Duration::from_millis(200)),
        read_loaded: control.duration_in("statistics_loaded", pace.clone()).unwrap_or(Duration::from_millis(500)),
        read_idle: control.duration_in("statistics_idle", pace).unwrap_or(Duration::from_secs(1)),
        writes_per_hour: whole("writes_per_hour", 60..=1_000_000).unwrap_or(7_200),
        sectors_per_hour: whole("sectors_per_hour", 1..=100_000_000),
    };
    let spans = [("statistics_loaded", settings.read_loaded), ("statistics_idle", settings.read_idle)];
    control.ordered(&spans.map(|(key, span)| (key, span, Quantity::Span(span))), false);
    settings
}

/// Two WANs must not share a name, nor two directions a queue.
fn twins(wans: &[Section<'_, '_>]) {
    let mut seen: HashMap<(&str, String), usize> = HashMap::new();
    let mut check = |section: &Section<'_, '_>, key: &str, what: &'static str| {
        if let Some((text, line)) = section.peek(key) {
            match seen.entry((what, text)) {
                Entry::Vacant(free) => drop(free.insert(line)),
                Entry::Occupied(first) => section.fault(key, Problem::Twin { what, line: *first.get() }),
            }
        }
    };
    for wan in wans {
        check(wan, "name", "this name");
        check(wan, "simple_queue", "this simple queue");
        for direction in ["download", "upload"].iter().filter_map(|key| wan.existing(key)) {
            check(&direction, "queue", "this queue");
        }
    }
}

/// Every key that may stand in a file, such as `wan.download.ceiling`, in alphabetical order.
#[must_use]
pub fn known_keys() -> Vec<String> {
    let context = read::Context::new(
        "[[alert]]\n[[wan]]\n[[steering]]\n[[steering.alternate]]\n[steering.alternate.lease]",
        "",
        Path::new(""),
        &|_| None,
    );
    if let Some(root) = read::document(&context) {
        let _ = sections(&context, &root);
    }
    context.known()
}
