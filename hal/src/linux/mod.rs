//! The board that is a Linux machine: mio poll and timer, ICMP sockets, TCP and TLS, signals,
//! files. `unsafe` lives here and nowhere else, each with its reason.

mod board;
mod echo;
mod fetch;
mod files;
mod hook;
mod link;
mod load;
mod manager;
pub mod process;
pub mod resolve;
mod serve;
mod stdio;
mod stream;
mod sys;
mod syslog;
mod tcp;
mod tls;

pub use board::LinuxBoard;
pub use fetch::fetch;
pub use files::{LockError, StateDirectory};
pub use load::{Load, Transfer};
pub use stdio::{unix_seconds, write_stderr};
pub use sys::monotonic;
pub use syslog::{host_name, open_syslog, write_syslog};
