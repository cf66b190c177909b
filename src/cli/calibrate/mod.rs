//! `wanctl calibrate`: finds ceiling, floor, thresholds and overhead of a line, with the evidence.

mod search;
mod series;
mod session;

pub use search::{Failure, Found, Kind, News, Options, Row, Search};
pub use series::{Idle, Loaded, Probe, Series};
pub use session::{End, Host, Session};
