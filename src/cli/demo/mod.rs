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
use std::io::{self, IsTerminal};
use std::sync::Arc;
use theatre::Stop;
use wanctl_hal::linux;
use wanctl_hal::sim::{LiveBoard, LiveClock, RouterServer, ServerSetup, TlsSetup};

/// Runs the demo; `plain` asks for lines of text also on a terminal.
pub(super) fn main(plain: bool) -> Exit {
    let mut out = io::stdout();
    let plain = plain || !out.is_terminal() || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    // The terminal is given back before anything else is said.
    let shown = show(&mut Face::new(&mut out, (!plain).then(Paint::for_stdout)));
    match shown {
        Ok(()) => Exit::Ok,
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

/// Builds everything, plays, and judges. Whatever was built is gone when this returns.
fn show(face: &mut Face<'_>) -> Result<(), Stop> {
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
    let outcome = theatre::play(LiveBoard::new(machine, Arc::clone(&world)), &config, &world, face)?;
    face.close(&outcome)?;
    outcome.verdict().map_err(|why| Stop::Failed(format!("the demo has not shown what it should: {why}")))
}
