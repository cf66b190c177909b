//! probes → one delay sample per WAN and cycle. Pure: time is an argument.

mod settings;

pub use settings::{MAX_CANDIDATES, MAX_TCP_TARGETS, Settings};
