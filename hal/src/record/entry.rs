//! One call of the board: what the daemon said, and what it was answered.

use crate::board::{
    BadTrust, Clock, EchoEvent, EchoRequest, LinkEvent, OpenError, Ready, SendError, Signal, StoreError, StoreFile,
    TcpProbe, WanId,
};
use crate::units::{Duration, Instant};
use core::fmt;
use core::net::SocketAddr;
use std::borrow::Cow;

/// One call of the board with its answer, or something else that a run depends on.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<'a> {
    /// The clocks were read.
    Clock(Clock),
    /// Random bits were asked for.
    Entropy(u64),
    /// The daemon slept.
    Wait {
        /// For how long at most, from the last reading of the clock; zero when the deadline had
        /// passed.
        at_most: Duration,
        /// What woke it.
        ready: Ready,
    },
    /// Probe sockets were opened.
    OpenWan {
        /// For which WAN.
        wan: WanId,
        /// From where, in words.
        source: Cow<'a, str>,
        /// How it went.
        result: Result<(), OpenError>,
    },
    /// Probe sockets were closed.
    CloseWan(WanId),
    /// A probe was sent.
    SendEcho {
        /// Through which WAN.
        wan: WanId,
        /// What was sent.
        request: EchoRequest,
        /// When it left.
        result: Result<Instant, SendError>,
    },
    /// A probe of a few hops was sent.
    SendTrace {
        /// Through which WAN.
        wan: WanId,
        /// What was sent.
        request: EchoRequest,
        /// How far it may go.
        hops: u8,
        /// When it left.
        result: Result<Instant, SendError>,
    },
    /// A datagram was taken, or none was there.
    RecvEcho {
        /// From which WAN.
        wan: WanId,
        /// What it was.
        event: Option<EchoEvent>,
    },
    /// A TCP probe was started.
    TcpProbe {
        /// Through which WAN.
        wan: WanId,
        /// In which slot.
        slot: u8,
        /// To whom.
        to: SocketAddr,
        /// How it went.
        result: Result<(), SendError>,
    },
    /// The end of a TCP probe was asked for.
    TcpResult {
        /// Of which WAN.
        wan: WanId,
        /// The end, if any has ended.
        probe: Option<TcpProbe>,
    },
    /// Another router, or another way to know it.
    LinkTarget {
        /// Which, in words.
        target: Cow<'a, str>,
        /// Whether it can be used.
        result: Result<(), BadTrust>,
    },
    /// A connection was begun.
    LinkOpen(SocketAddr),
    /// News of the connection were asked for.
    LinkPoll(Option<LinkEvent>),
    /// Bytes of the router were asked for.
    LinkRead(Io<'a>),
    /// Bytes for the router were handed over; what was taken of them, less what the veil hides.
    LinkWrite(Io<'a>),
    /// The connection was closed.
    LinkClose,
    /// A signal was asked for.
    Signal(Option<Signal>),
    /// A file was read.
    Load {
        /// Which.
        file: StoreFile,
        /// Its content.
        result: Result<Cow<'a, [u8]>, StoreError>,
    },
    /// A file was written.
    Store {
        /// Which.
        file: StoreFile,
        /// Whether it had to be on the medium at once.
        durable: bool,
        /// Its content.
        bytes: Cow<'a, [u8]>,
        /// How it went.
        result: Result<(), StoreError>,
    },
    /// Something that was read beside the board, as whoever read it wrote it down.
    Note(Cow<'a, [u8]>),
    /// The recording ends.
    End(End),
}

/// What moving bytes brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Io<'a> {
    /// These.
    Moved(Cow<'a, [u8]>),
    /// None now.
    WouldBlock,
    /// There is no connection.
    Down,
}

/// Why a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The program ended in order.
    Stopped,
    /// The recording has reached its size; the run went on.
    Full,
    /// Something came up that must not be recorded; the run went on.
    Withheld,
}

/// Bytes as text, as far as they are text; long ones are cut.
pub(super) struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 600;
        let shown = &self.0[..self.0.len().min(LONGEST)];
        write!(f, "\"{}\"", shown.escape_ascii())?;
        if shown.len() < self.0.len() { write!(f, "… ({} bytes)", self.0.len()) } else { Ok(()) }
    }
}

impl fmt::Display for Io<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moved(bytes) => Shown(bytes).fmt(f),
            Self::WouldBlock => f.write_str("nothing now"),
            Self::Down => f.write_str("no connection"),
        }
    }
}

impl fmt::Display for Entry<'_> {
    /// What the daemon said, in words; of the answer only what helps to understand it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clock(_) => f.write_str("read the clock"),
            Self::Entropy(_) => f.write_str("asked for random bits"),
            Self::Wait { at_most, .. } => write!(f, "slept for at most {at_most:?}"),
            Self::OpenWan { wan, source, .. } => write!(f, "opened WAN {} from {source}", wan.index()),
            Self::CloseWan(wan) => write!(f, "closed WAN {}", wan.index()),
            Self::SendEcho { wan, request, .. } => write!(
                f,
                "sent probe {} (token {:016x}) to {} through WAN {}",
                request.sequence,
                request.token,
                request.to,
                wan.index()
            ),
            Self::SendTrace { wan, request, hops, .. } => {
                write!(
                    f,
                    "sent probe {} over {hops} hops to {} through WAN {}",
                    request.sequence,
                    request.to,
                    wan.index()
                )
            }
            Self::RecvEcho { wan, .. } => write!(f, "took a datagram of WAN {}", wan.index()),
            Self::TcpProbe { wan, slot, to, .. } => {
                write!(f, "started TCP probe {slot} to {to} through WAN {}", wan.index())
            }
            Self::TcpResult { wan, .. } => write!(f, "asked for the end of a TCP probe of WAN {}", wan.index()),
            Self::LinkTarget { target, .. } => write!(f, "wanted the router to be {target}"),
            Self::LinkOpen(to) => write!(f, "began to connect to {to}"),
            Self::LinkPoll(_) => f.write_str("asked for news of the router connection"),
            Self::LinkRead(_) => f.write_str("asked for bytes of the router"),
            Self::LinkWrite(io) => write!(f, "wrote to the router: {io}"),
            Self::LinkClose => f.write_str("closed the router connection"),
            Self::Signal(_) => f.write_str("asked for a signal"),
            Self::Load { file, .. } => write!(f, "read the file {}", file.name()),
            Self::Store { file, durable, bytes, .. } => {
                let durable = if *durable { " for good" } else { "" };
                write!(f, "wrote the file {}{durable}: {}", file.name(), Shown(bytes))
            }
            Self::Note(_) => f.write_str("read something beside the board (the configuration, a name)"),
            Self::End(End::Stopped) => f.write_str("stopped"),
            Self::End(End::Full | End::Withheld) => f.write_str("went on, unrecorded"),
        }
    }
}
