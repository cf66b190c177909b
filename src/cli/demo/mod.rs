//! `wanctl demo`: the real daemon, in real time, against a simulated router behind real HTTPS on
//! the loopback interface, and a simulated line. No root, no router, no internet.
//!
//! `scenes` is what is shown, `stage` where, `player` who measures, `theatre` the play itself,
//! `record` what was seen, `view` what people see of it, and `summary` what it comes to.

mod face;
mod paint;
mod player;
mod record;
mod scenes;
mod stage;
mod summary;
mod theatre;
mod view;

use super::{Exit, run};
use face::Face;
use paint::Paint;
use stage::TemporaryDirectory;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use summary::Outcome;
use theatre::Stop;
use wanctl_hal::linux;
use wanctl_hal::sim::{LiveBoard, LiveClock, RouterServer, ServerSetup, TlsSetup};

/// Runs the demo; `plain` asks for lines of text also on a terminal.
pub(super) fn main(plain: bool) -> Exit {
    let plain = plain || !io::stdout().is_terminal();
    let mut out = io::stdout();
    let mut face = Face::new(&mut out, (!plain).then(Paint::for_stdout));
    let shown = show(&mut face).and_then(|outcome| Ok(face.close().map(|()| outcome)?));
    drop(face);
    match shown {
        Ok(outcome) => finish(&outcome, if plain { Paint::new(false) } else { Paint::for_stdout() }),
        Err(Stop::Interrupted) => {
            eprintln!("interrupted");
            Exit::Interrupted
        }
        Err(Stop::Failed(message)) => {
            eprintln!("error: {message}");
            Exit::Failed
        }
    }
}

/// Prints the summary, and judges.
fn finish(outcome: &Outcome, paint: Paint) -> Exit {
    let judged = outcome.text(paint).and_then(|text| {
        writeln!(io::stdout(), "\n{text}").map_err(|e| e.to_string())?;
        outcome.verdict()
    });
    match judged {
        Ok(()) => Exit::Ok,
        Err(message) => {
            eprintln!("the demo has not shown what it should: {message}");
            Exit::Failed
        }
    }
}

/// Builds everything, and plays. Whatever was built is gone when this returns.
fn show(face: &mut Face<'_>) -> Result<Outcome, Stop> {
    let now = linux::monotonic();
    let directory = TemporaryDirectory::new(now)?;
    let world = stage::world().share();
    let clock = LiveClock::starting_at(now);
    let setup = ServerSetup { clock, ..ServerSetup::local(Some(TlsSetup::default())) };
    let server = RouterServer::start(&setup, Arc::clone(&world), None)
        .map_err(|e| format!("the simulated router can't listen on 127.0.0.1: {e}"))?;
    let pin = server.fingerprint().map(stage::pin).unwrap_or_default();
    let config = stage::config(&format!("https://{}", server.address()), &pin, &directory.0)?;
    let machine = run::board(&config)?;
    theatre::play(LiveBoard::new(machine, Arc::clone(&world)), &config, &world, face)
}
