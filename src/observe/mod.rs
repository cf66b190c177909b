//! What happened, for people: events into a ring and into log lines.
//!
//! Text is made here and nowhere else. Nothing in here influences a decision, and nothing blocks:
//! a line that standard error can't take at once is dropped and counted.

mod flood;
mod log;
mod ring;
mod text;

pub use flood::Flood;
pub use log::{Format, Line, install};
pub use ring::{EventRing, RING};
pub use text::{Described, level};
