//! What happened, for people: events into a ring and into log lines.
//!
//! Text is made here and nowhere else. Nothing in here influences a decision, and nothing blocks:
//! a line that standard error can't take at once is dropped and counted.

mod alert;
mod facts;
mod flood;
mod history;
pub mod http;
mod log;
pub mod pages;
mod ring;
mod spread;
mod text;

pub use alert::{
    AlertCounters, AlertError, AlertFacts, AlertFormat, AlertNews, AlertRule, AlertStep, Alerts, GROUPS, Topic, Topics,
};
pub use facts::{Facts, LoopFacts, ProbeFacts, ReflectorFacts, RouterFacts, SteerFacts, SteerWan, WanFacts};
pub use flood::Flood;
pub use history::{Depth, History, Record, Tier, UNKNOWN};
pub use log::{Collector, Format, Line, install, write_time};
pub use ring::{EventRing, RING};
pub use spread::Spread;
pub use text::{Described, about, explained, level};
