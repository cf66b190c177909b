//! Commands that look at a running daemon through its endpoint: `status`, `events`, `profile`,
//! `health`, `plot`.

mod ask;
mod paint;
mod plot;
mod profile;
mod status;

use super::Exit;
use ask::{Asked, Endpoint};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// What `/status` looks like, for programs that check it.
const SCHEMA: &str = include_str!("../../../docs/status.schema.json");

/// Time between two looks of `--watch`.
const AGAIN: Duration = Duration::from_secs(1);

/// The commands, each with the arguments that say whom to ask.
pub(super) fn commands(config: impl Fn() -> Arg) -> [Command; 5] {
    let url = || Arg::new("url").long("url").value_name("URL").help("Whom to ask, such as http://10.0.0.5:9178");
    let json = || Arg::new("json").long("json").action(ArgAction::SetTrue).help("The document as it is, for programs");
    let watch =
        Arg::new("watch").long("watch").action(ArgAction::SetTrue).help("Again every second, with the last minute");
    let asks = |name: &'static str, about: &'static str| Command::new(name).about(about).arg(config()).arg(url());
    let plot = asks("plot", "Draw the past of a line as SVG")
        .arg(Arg::new("wan").long("wan").value_name("NAME").help("Which line [default: the first]"))
        .arg(
            Arg::new("tier")
                .long("tier")
                .value_name("TIER")
                .value_parser(["cycles", "seconds", "minutes"])
                .default_value("seconds")
                .hide_possible_values(true)
                .help("How finely: cycles, seconds or minutes; the finer,\nthe less far back"),
        )
        .arg(
            Arg::new("csv")
                .long("csv")
                .value_name("FILE")
                .help("A saved table of /history in place of a\nrunning wanctl"),
        );
    [
        plot,
        asks("status", "Show what a running wanctl sees and does").arg(json()).arg(watch).arg(
            Arg::new("schema")
                .long("schema")
                .action(ArgAction::SetTrue)
                .help("The JSON Schema of the document instead"),
        ),
        asks("events", "Show its last decisions and faults, with reasons").arg(json()),
        asks("profile", "Show where its cycles' time goes").arg(json()),
        asks("health", "Exit with 0 while the control works, 1 when it has failed"),
    ]
}

/// Runs one of them.
pub(super) fn main(name: &str, matches: &ArgMatches) -> Exit {
    if name == "plot"
        && let Some(file) = matches.get_one::<String>("csv")
    {
        let text = std::fs::read_to_string(file).map_err(|e| e.to_string());
        return drawn(text.and_then(|csv| plot::svg(file, &csv)).map_err(|why| format!("{file}: {why}")));
    }
    if name == "status" && matches.get_flag("schema") {
        print(SCHEMA);
        return Exit::Ok;
    }
    let url = matches.get_one::<String>("url").map(String::as_str);
    let endpoint = match Endpoint::find(url, &super::config_path(matches)) {
        Ok(endpoint) => endpoint,
        Err(why) => {
            eprintln!("{why}");
            return Exit::BadConfig;
        }
    };
    let flag = |name: &str| matches.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or(false);
    let result = match name {
        "status" if flag("watch") => watch(&endpoint),
        "status" => show(&endpoint, "/status", flag("json"), |value, colour| status::screen(value, None, colour)),
        "events" => show(&endpoint, "/events", flag("json"), events),
        "plot" => return drawn(past(&endpoint, matches)),
        "profile" => show(&endpoint, "/status", flag("json"), |value, _| profile::table(value)),
        _ => health(&endpoint),
    };
    result.unwrap_or_else(|why| {
        eprintln!("{why}");
        Exit::Failed
    })
}

/// The picture of a running daemon's past.
fn past(endpoint: &Endpoint, matches: &ArgMatches) -> Result<String, String> {
    let status = endpoint.ask("/status")?.json()?;
    let names: Vec<&str> =
        status["wans"].as_array().into_iter().flatten().filter_map(|wan| wan["name"].as_str()).collect();
    let wanted = matches.get_one::<String>("wan").map_or(names.first().copied().unwrap_or(""), String::as_str);
    let place = names.iter().position(|name| *name == wanted);
    let place = place.ok_or_else(|| format!("--wan {wanted}: there is {}", names.join(", ")))?;
    let tier = matches.get_one::<String>("tier").map_or("seconds", String::as_str);
    let table = endpoint.ask(&format!("/history?wan={place}&tier={tier}&format=csv"))?;
    plot::svg(wanted, &table.body)
}

fn drawn(picture: Result<String, String>) -> Exit {
    match picture {
        Ok(svg) => {
            print(&svg);
            Exit::Ok
        }
        Err(why) => {
            eprintln!("{why}");
            Exit::Failed
        }
    }
}

/// Colours are for people at a terminal who have not asked for none.
fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// One document, as it is or as people read it. `Failed` when it says that the control has failed.
fn show(endpoint: &Endpoint, path: &str, json: bool, text: impl Fn(&Value, bool) -> String) -> Result<Exit, String> {
    let asked = endpoint.ask(path)?;
    if json {
        print(&asked.body);
    } else {
        print(&text(&asked.json()?, colours()));
    }
    Ok(if asked.json()?["status"] == "failed" { Exit::Failed } else { Exit::Ok })
}

fn health(endpoint: &Endpoint) -> Result<Exit, String> {
    let Asked { status, body } = endpoint.ask("/health")?;
    print(&body);
    Ok(if status == 200 { Exit::Ok } else { Exit::Failed })
}

/// Until the terminal goes away or the user has seen enough.
fn watch(endpoint: &Endpoint) -> Result<Exit, String> {
    loop {
        let mut screen = String::from("\x1b[H\x1b[2J");
        match endpoint.ask("/status").and_then(|asked| asked.json()) {
            Ok(value) => {
                let wans = value["wans"].as_array().map_or(0, Vec::len);
                let past =
                    |i| endpoint.ask(&format!("/history?wan={i}&last=60&format=json")).and_then(|a| a.json()).ok();
                let past: Vec<Option<Value>> = (0..wans).map(past).collect();
                screen.push_str(&status::screen(&value, Some(&past), colours()));
            }
            Err(why) => drop(writeln!(screen, "{why}")),
        }
        if !print(&screen) {
            return Ok(Exit::Ok);
        }
        std::thread::sleep(AGAIN);
    }
}

fn events(value: &Value, colour: bool) -> String {
    let mut out = String::new();
    for event in value["events"].as_array().into_iter().flatten() {
        let time = event["time"].as_f64().unwrap_or(0.0);
        let level = event["level"].as_str().unwrap_or("?");
        let paint = paint::level(level, colour);
        let _ = writeln!(
            out,
            "{} {paint}{level:<5}{} {}",
            paint::clock(time),
            paint::end(colour),
            event["text"].as_str().unwrap_or("?")
        );
    }
    out
}

/// Returns whether somebody still reads.
fn print(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}
