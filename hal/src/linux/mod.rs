//! The board that is a Linux machine: mio poll and timer, ICMP sockets, TCP and TLS, signals,
//! files. `unsafe` lives here and nowhere else, each with its reason.

mod board;
mod echo;
mod files;
mod link;
pub mod resolve;
mod serve;
mod stdio;
mod sys;
mod tcp;
mod tls;

pub use board::LinuxBoard;
pub use files::{LockError, StateDirectory};
pub use stdio::{unix_seconds, write_stderr};
pub use sys::monotonic;
