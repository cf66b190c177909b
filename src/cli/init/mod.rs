//! `wanctl init`: asks the router what is there, proposes a configuration for it, and prints the RouterOS commands that
//! are still missing. Changes nothing.

mod propose;

use super::check::{self, Facts, Mark};
use super::machine::{Conversation, Machine};
use super::run::look_up;
use super::{Exit, bad_config, trust};
use crate::config::{self, Router};
use crate::daemon::Restored;
use clap::{Arg, ArgMatches, Command, value_parser};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use wanctl_hal::linux::resolve;

pub(super) fn command() -> Command {
    let text = |name: &'static str, value: &'static str| Arg::new(name).long(name).value_name(value);
    Command::new("init")
        .about("Propose a configuration for a router, and the commands it needs")
        .arg(text("url", "URL").default_value("https://192.168.88.1").help("Where the router is"))
        .arg(
            text("user", "NAME")
                .default_value("wanctl")
                .help("Who to log in as; the password comes\nfrom $WANCTL_ROUTER_PASSWORD"),
        )
        .arg(text("fingerprint", "HEX").help("SHA-256 of the router's certificate;\nleft out, it is shown"))
        .arg(
            text("write", "FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Save the proposal; a file that exists is left alone"),
        )
}

pub(super) fn main(matches: &ArgMatches) -> Exit {
    let given = |name| matches.get_one::<String>(name).map_or("", String::as_str);
    let (url, user) = (given("url"), given("user"));
    let fingerprint = matches.get_one::<String>("fingerprint").map(String::as_str);
    // As it will stand in the file, so that it is checked as one.
    let mut section = format!("[router]\nurl = {url:?}\nuser = {user:?}\n");
    if let Some(fingerprint) = fingerprint {
        section += &format!("fingerprint = {fingerprint:?}\n");
    } else if url.starts_with("https:") {
        return show_certificate(&section, user);
    }
    let router = match config::parse_router(&section, "command line", &|name| std::env::var(name).ok()) {
        Ok(router) => router,
        Err(faults) => return bad_config(&faults),
    };
    let facts = match ask(&router) {
        Ok(facts) => facts,
        Err(why) => {
            eprintln!("error: {}: {why}", router.url);
            return Exit::Failed;
        }
    };
    let proposal = propose::text(&section, &facts);
    let shown = match matches.get_one::<PathBuf>("write") {
        None => write!(std::io::stdout(), "{proposal}").map_err(|error| error.to_string()),
        Some(path) => OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .and_then(|mut file| file.write_all(proposal.as_bytes()))
            .map_err(|error| format!("{} can't be written: {error}", path.display())),
    };
    if let Err(why) = shown {
        eprintln!("error: {why}");
        return Exit::Failed;
    }
    commands(&proposal, &facts)
}

/// Whoever answers is not trusted before a person has compared.
fn show_certificate(section: &str, user: &str) -> Exit {
    let url = match config::parse_url(section, "command line") {
        Ok(parsed) => parsed,
        Err(faults) => return bad_config(&faults),
    };
    match trust::show(&url) {
        Ok(shown) => {
            eprintln!("If they are the same:\n");
            println!("wanctl init --url {url} --user {user} --fingerprint {shown}");
            Exit::BadConfig
        }
        Err(exit) => exit,
    }
}

/// Everything that matters of a router.
fn ask(router: &Router) -> Result<Facts, String> {
    let mut machine = Machine::new(&router.target())?;
    let address = look_up(&router.url, &Restored::default(), &|| false)?;
    let mut conversation = Conversation::new(&mut machine, router, address);
    let mut facts = check::read(&mut conversation, |_| true)?;
    facts.here = resolve::source_toward(address);
    Ok(facts)
}

/// What the proposal needs of the router and does not find there: what `check` would say.
fn commands(proposal: &str, facts: &Facts) -> Exit {
    let env = |name: &str| std::env::var(name).ok();
    let config = match config::parse(proposal, "proposal", std::path::Path::new("."), &env) {
        Ok((config, _)) => config,
        Err(faults) => return bad_config(&faults),
    };
    let findings = check::examine(&config, facts);
    let missing: Vec<_> = findings.iter().filter(|finding| finding.mark >= Mark::Warn).collect();
    if missing.is_empty() {
        eprintln!("The router has everything this needs. Next: `wanctl check`, then `wanctl run`.");
        return Exit::Ok;
    }
    eprintln!(
        "\nMissing on the router, each with the command that mends it (then `wanctl init` or `wanctl check` again):"
    );
    for finding in missing {
        eprintln!("\n# {}: {}", finding.about, finding.what);
        if !finding.why.is_empty() {
            eprintln!("# {}", finding.why);
        }
        eprintln!("{}", finding.mend);
    }
    Exit::Ok
}
