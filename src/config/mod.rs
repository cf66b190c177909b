//! One TOML file into settings, or into all its faults at once.
//!
//! Every fault names the file, the line, the key, the value, and what would be right. Nothing is
//! guessed and nothing is ignored: a key nobody reads is a fault. Presets fill in what a link of a
//! kind usually needs, so that a useful file stays short.

mod fault;
mod preset;
mod read;
mod router;
mod value;
mod wan;

pub use fault::{Fault, Faults, Warning};
pub use preset::{Link, Preset};
pub use router::{Router, Secret, Trust, Url};
pub use wan::{QueueRef, WanConfig};

use crate::actuate;
use crate::observe::Format;
use crate::types::{Bitrate, Duration, MAX_WANS};
use read::Section;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// How environment variables are looked up.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The router, and how to reach it.
    pub router: Router,
    /// The WANs, in the order of the file.
    pub wans: Vec<WanConfig>,
    /// Length of the control cycle.
    pub cycle: Duration,
    /// How eagerly to write and read.
    pub actuate: actuate::Settings,
    /// What to log.
    pub log_level: log::LevelFilter,
    /// How to log.
    pub log_format: Format,
    /// Where to keep what must survive a restart.
    pub state_directory: PathBuf,
}

/// Reads and checks the file.
///
/// # Errors
/// All [`Faults`] of the file.
pub fn load(path: &Path, env: Env<'_>) -> Result<(Config, Vec<Warning>), Faults> {
    let file = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, &file, path.parent().unwrap_or(Path::new(".")), env),
        Err(error) => Err(Faults::whole_file(&file, format!("can't be read: {error}"))),
    }
}

/// Checks the text of a file; relative paths in it are below `directory`.
///
/// # Errors
/// All [`Faults`] of the text.
pub fn parse(text: &str, file: &str, directory: &Path, env: Env<'_>) -> Result<(Config, Vec<Warning>), Faults> {
    let context = read::Context::new(text, file, directory, env);
    let config = read::document(&context).and_then(|root| sections(&context, &root));
    let (faults, warnings) = context.into_findings();
    match config {
        Some(config) if faults.is_empty() => Ok((config, warnings)),
        _ => Err(faults),
    }
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
    log.finish();
    let state = root.section("state");
    let directory = state.text("directory").map_or_else(|| PathBuf::from("/var/lib/wanctl"), PathBuf::from);
    state.finish();
    let router = router::read(context, &root.section("router"));
    let wans = root.sections("wan");
    if wans.is_empty() {
        root.fault("wan", "missing: add at least one [[wan]] section");
    }
    if wans.len() > MAX_WANS {
        root.fault("wan", &format!("there are {} WANs; at most {MAX_WANS} can be driven", wans.len()));
    }
    let exit = router.as_ref().map(|r| r.exit);
    let read: Vec<Option<WanConfig>> = wans.iter().map(|section| wan::read(section, cycle, exit)).collect();
    check_twins(&wans, &read);
    root.finish();
    Some(Config {
        router: router?,
        wans: read.into_iter().collect::<Option<Vec<_>>>()?,
        cycle,
        actuate,
        log_level: level,
        log_format: format,
        state_directory: directory,
    })
}

fn actuate_settings(control: &Section<'_, '_>) -> actuate::Settings {
    let pace = Duration::from_millis(100)..=Duration::from_secs(60);
    actuate::Settings {
        rise_fraction: control.number_in("rise_fraction", 0.0..=0.5).unwrap_or(0.01),
        rise_minimum: control.rate("rise_minimum").unwrap_or(Bitrate::from_bps(100_000)),
        rise_spacing: control
            .duration_in("rise_spacing", Duration::ZERO..=Duration::from_secs(600))
            .unwrap_or(Duration::from_millis(200)),
        read_loaded: control.duration_in("statistics_loaded", pace.clone()).unwrap_or(Duration::from_millis(500)),
        read_idle: control.duration_in("statistics_idle", pace).unwrap_or(Duration::from_secs(1)),
    }
}

/// Two WANs must not share a name or a queue.
fn check_twins(sections: &[Section<'_, '_>], wans: &[Option<WanConfig>]) {
    let mut names = HashSet::new();
    let mut taken = HashSet::new();
    for (section, wan) in sections.iter().zip(wans).filter_map(|(s, w)| Some((s, w.as_ref()?))) {
        if !names.insert(wan.name.as_str()) {
            section.fault("name", "another [[wan]] has this name; names must differ");
        }
        let own: HashSet<&QueueRef> = wan.queues.iter().collect();
        for queue in own.into_iter().filter(|q| !taken.insert(*q)) {
            section.fault("name", &format!("its queue \"{}\" is used by another [[wan]] already", queue.name));
        }
    }
}
