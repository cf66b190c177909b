//! The only code of wanctl that touches the machine.
//!
//! One edge, the [`Board`] trait, and two boards behind it: `linux` (mio poll and timer, ICMP
//! sockets, TCP and TLS, signals, files) and `sim` (the same board in virtual time, with a line
//! model and a RouterOS double). Above this crate nothing opens a socket, reads a clock or
//! writes a file; below it nothing decides anything.
//!
//! Units of measure live here too, because they are part of every signature: [`Bitrate`],
//! [`Instant`], [`Millis`], [`WallClock`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod board;
pub mod crc32;
mod endpoint;
mod forward;
pub mod icmp;
pub mod linux;
pub mod record;
#[cfg(feature = "sim")]
pub mod sim;
pub mod units;

/// Whether the public certificate authorities are in the program ([`Trust::Public`]).
pub const HAS_PUBLIC_AUTHORITIES: bool = cfg!(feature = "roots");

pub use board::{
    BadTrust, Board, Clock, EchoEvent, EchoReply, EchoRequest, LinkError, LinkEvent, LinkIo, LinkTarget, MAX_HOOKS,
    MAX_WANS, Notice, OpenError, ProbeSource, Ready, SendError, Signal, StoreError, StoreFile, TcpProbe, TlsFault,
    Trust, WanId,
};
pub use endpoint::{CLIENTS, ListenError};
pub use units::{Bitrate, Direction, Duration, Instant, Millis, WallClock};
