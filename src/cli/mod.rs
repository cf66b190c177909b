//! The command line: what the user can ask for, and how the program answers.
//!
//! Data go to standard output, everything else to standard error. Exit codes are those of
//! [`Exit`]; they are part of the interface.

mod adopt;
mod alert;
pub mod calibrate;
mod check;
#[cfg(feature = "sim")]
mod demo;
mod init;
mod look;
mod machine;
mod record;
mod replay;
mod run;
#[cfg(feature = "sim")]
mod simulate;
mod svg;
mod trust;
mod version;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::config::{self, Config, Faults};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything as asked.
    Ok = 0,
    /// It could not be done; the reason was printed.
    Failed = 1,
    /// The configuration (or the command line) is wrong; all faults were printed.
    BadConfig = 2,
    /// `check` found something that keeps the line from being controlled.
    Findings = 3,
    /// `demo` or `calibrate` was interrupted (as a shell tells a death by SIGINT).
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

const AFTER: &str = "\
Exit codes: 0 done; 1 failed; 2 bad configuration or command line;
            3 `check` found something BAD; 130 `demo` or `calibrate` was
            interrupted.
Signals to `run`: TERM, INT stop in order; HUP reads the configuration again;
            USR1 logs one line per WAN.";

/// Runs the command that `arguments` ask for (the first one is the program's name).
pub fn main(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Exit {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::BadConfig } else { Exit::Ok };
        }
    };
    match matches.subcommand() {
        Some(("run", m)) => run::main(&config_path(m), wish(m).as_ref()),
        Some(("check", m)) => check::main(&config_path(m), m.get_flag("offline")),
        Some(("replay", m)) => replay::main(
            &config_path(m),
            m.value_source("config") == Some(ValueSource::CommandLine),
            m.get_one::<String>("wan").map(String::as_str),
            m.get_one::<PathBuf>("file").map_or(Path::new(""), PathBuf::as_path),
        ),
        Some(("init", m)) => init::main(m),
        Some(("trust", m)) => trust::main(&config_path(m)),
        Some(("version", m)) => version::main(m.get_flag("json")),
        Some(("alert-test", m)) => alert::main(&config_path(m), m.get_one::<String>("name").map(String::as_str)),
        Some(("adopt", m)) => adopt::main(&config_path(m)),
        Some(("calibrate", m)) => calibrate::main(&config_path(m), m),
        Some((name @ ("status" | "events" | "profile" | "health" | "plot"), m)) => look::main(name, m),
        #[cfg(feature = "sim")]
        Some(("demo", m)) => demo::main(m.get_flag("plain")),
        #[cfg(feature = "sim")]
        Some(("simulate", m)) => simulate::main(m),
        _ => Exit::BadConfig,
    }
}

fn config_path(matches: &ArgMatches) -> PathBuf {
    matches.get_one::<PathBuf>("config").cloned().unwrap_or_default()
}

/// Whether and where to record.
fn wish(matches: &ArgMatches) -> Option<record::Wish> {
    let path = matches.get_one::<PathBuf>("record").cloned()?;
    Some(record::Wish { path, size: matches.get_one("record-size").copied().unwrap_or(wanctl_hal::record::SMALLEST) })
}

/// `64M`: bytes, with K, M or G for powers of 1024.
fn size(text: &str) -> Result<u64, String> {
    let smallest = wanctl_hal::record::SMALLEST;
    let (number, shift) = match text.char_indices().last() {
        Some((end, 'K' | 'k')) => (&text[..end], 10),
        Some((end, 'M' | 'm')) => (&text[..end], 20),
        Some((end, 'G' | 'g')) => (&text[..end], 30),
        _ => (text, 0),
    };
    let bytes = number.parse().ok().and_then(|n: u64| n.checked_mul(1 << shift));
    let right = || format!("not a size: a number of bytes with K, M or G, at least {}K", smallest >> 10);
    bytes.filter(|bytes| *bytes >= smallest).ok_or_else(right)
}

fn command() -> Command {
    let config = || {
        Arg::new("config")
            .long("config")
            .short('c')
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .env("WANCTL_CONFIG")
            .hide_env(true)
            .default_value("/etc/wanctl/wanctl.toml")
            .hide_default_value(true)
            .help("The configuration, in place of $WANCTL_CONFIG\n[default: /etc/wanctl/wanctl.toml]")
    };
    let command = Command::new("wanctl")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Keeps an internet line free of bufferbloat:\nmeasures delay, decides rates, sets the CAKE queues of a MikroTik router.")
        .after_help(AFTER)
        .max_term_width(80)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(
            Command::new("run").about("Control the line(s) until told to stop").arg(config()).args(recording_arguments()),
        )
        .subcommand(
            Command::new("check").about("Check configuration, router and reflectors; change nothing").arg(config()).arg(
                Arg::new("offline").long("offline").action(ArgAction::SetTrue).help("Check the configuration only"),
            ),
        )
        .subcommand(init::command())
        .subcommand(
            Command::new("trust").about("Show the router's certificate, and the line that pins it").arg(config()),
        )
        .subcommand(
            Command::new("replay")
                .about("Repeat a recorded run, or feed an RTT series through a law")
                .arg(config().help("The configuration (with a recording: another one)\n"))
                .arg(Arg::new("wan").long("wan").value_name("NAME").help("With a CSV file: the WAN whose settings to use"))
                .arg(
                    Arg::new("file")
                        .value_name("FILE")
                        .value_parser(value_parser!(PathBuf))
                        .required(true)
                        .help("What `run --record` made, or a CSV file with a column\nrtt_ms, one row a cycle"),
                ),
        )
        .subcommand(
            Command::new("adopt")
                .about("Take the limits the router has now as the originals to restore")
                .arg(config()),
        )
        .subcommand(calibrate::command(config()))
        .subcommand(
            Command::new("alert-test")
                .about("Send a test message through each alert rule")
                .arg(config())
                .arg(Arg::new("name").value_name("NAME").help("Only through this rule")),
        )
        .subcommand(
            Command::new("version")
                .about("Tell what this program is and what it was built from")
                .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("For machines")),
        )
        .subcommands(look::commands(config));
    #[cfg(feature = "sim")]
    let command =
        command.subcommand(Command::new("demo").about("Watch it at work on a simulated line, for 80 seconds").arg(
            Arg::new("plain").long("plain").action(ArgAction::SetTrue).help("Lines of text instead of a picture"),
        ));
    #[cfg(feature = "sim")]
    let command = command.subcommand(simulate::command());
    command
}

fn recording_arguments() -> [Arg; 2] {
    let record = Arg::new("record")
        .long("record")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Write down all it is told, for `replay`; no secrets");
    let size = Arg::new("record-size")
        .long("record-size")
        .value_name("SIZE")
        .value_parser(size)
        .default_value("16M")
        .help("Where the recording ends");
    [record, size]
}

/// Reads the configuration; warnings and faults go to standard error.
fn load(path: &Path) -> Result<Config, Exit> {
    match config::load(path, &|name| std::env::var(name).ok()) {
        Ok((config, warnings)) => {
            for warning in warnings {
                eprintln!("warning: {warning}");
            }
            Ok(config)
        }
        Err(faults) => Err(bad_config(&faults)),
    }
}

fn bad_config(faults: &Faults) -> Exit {
    eprintln!("{faults}");
    Exit::BadConfig
}

#[cfg(test)]
mod tests {
    #[test]
    fn help_fits_eighty_columns() {
        let mut command = super::command();
        let subcommands: Vec<_> = command.get_subcommands().cloned().collect();
        let helps = subcommands.into_iter().map(|mut c| c.render_help()).chain([command.render_help()]);
        for help in helps.map(|help| help.to_string()) {
            let widest = help.lines().map(|l| l.chars().count()).max().unwrap_or(0);
            assert!(widest <= 80, "{widest} columns:\n{help}");
        }
    }
}
