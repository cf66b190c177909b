//! actuate ⇄ routeros: what can be asked of a router, and what it says.

use super::{Bitrate, Duration, Instant, Limit, LinkError, Row, SwitchRow, SwitchTable, Table};
use core::fmt;

/// Text of at most `N` bytes from the router or the configuration.
pub type Text<const N: usize> = heapless::String<N>;

/// Name of a queue.
pub type Name = Text<64>;

/// A RouterOS object id such as `*1000000`: opaque, and not stable over a reboot.
pub type QueueId = Text<16>;

/// A queue menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Menu {
    /// `/queue/tree`: one queue holds one direction.
    Tree,
    /// `/queue/simple`: one queue holds both, upload first.
    Simple,
}

impl Menu {
    /// The path below `/rest`.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Tree => "/queue/tree",
            Self::Simple => "/queue/simple",
        }
    }
}

/// Counters of one direction of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueCounters {
    /// Bytes that passed, cumulative.
    pub bytes: u64,
    /// Packets dropped, cumulative.
    pub dropped: u64,
    /// Bytes waiting now.
    pub queued_bytes: u64,
    /// Packets waiting now.
    pub queued_packets: u64,
}

/// One queue as the router lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRow {
    /// The menu it was listed in.
    pub menu: Menu,
    /// Its id, valid until the router reboots.
    pub id: QueueId,
    /// Its name.
    pub name: Name,
    /// `max-limit` byte for byte.
    pub max_limit: super::Verbatim,
    /// `max-limit` as rates: download and upload for a simple queue, the same value twice for a
    /// queue of the tree. Zero is unlimited.
    pub limits: [Bitrate; 2],
    /// Counters of download and upload (the same twice for a queue of the tree).
    pub counters: [QueueCounters; 2],
    /// Switched off by the operator.
    pub disabled: bool,
    /// Its parent, mark or type is missing: it accepts changes and does nothing.
    pub invalid: bool,
    /// Made by the router itself; can't be changed.
    pub dynamic: bool,
}

/// Statistics of one WAN, from two readings of its queues.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkStats {
    /// When the router looked, as far as we know: the middle of the request.
    pub at: Instant,
    /// Half the time the request took: the error of `at`.
    pub uncertainty: Duration,
    /// From when on the achieved rates were counted: usually the reading before.
    pub since: [Instant; 2],
    /// Achieved rate of download and upload since then; `None` after a reset.
    pub achieved: [Option<Bitrate>; 2],
    /// Packets dropped since the reading before.
    pub dropped: [u64; 2],
    /// Bytes waiting in our own queue.
    pub queued_bytes: [u64; 2],
}

/// What the daemon can ask of a router. One request at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Version and uptime.
    ReadResource,
    /// All queues of a menu: resolves ids, reads back limits, and reads statistics.
    ReadQueues(Menu),
    /// Byte counters of an interface, to check directions against.
    ReadInterface(Text<32>),
    /// All rows of a menu, as text: for commands only.
    Read(Table),
    /// The rules or entries of a table: what switches are made of.
    ReadSwitches(SwitchTable),
    /// Enables or disables the rule with this id, and gives it its comment.
    Turn {
        /// Where it is.
        table: SwitchTable,
        /// Its id.
        id: QueueId,
        /// Its comment, for a dead man's switch may have added to it.
        comment: Text<64>,
        /// Enabled.
        on: bool,
    },
    /// Adds an entry that goes away by itself.
    Lease {
        /// The list.
        table: SwitchTable,
        /// Its address.
        address: Text<48>,
        /// How long it remains.
        seconds: u32,
    },
    /// Removes the entry with this id.
    Release {
        /// The list.
        table: SwitchTable,
        /// Its id.
        id: QueueId,
    },
    /// Sets the limit of the queue with this id.
    SetLimit {
        /// Menu of the queue.
        menu: Menu,
        /// Its id.
        id: QueueId,
        /// The new limit.
        limit: Limit,
    },
}

/// One thing the router told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A queue, from a list or as the answer to a change.
    Queue(QueueRow),
    /// Itself.
    Resource(RouterInfo),
    /// A rule or an entry, from a list or as the answer to a change.
    Switch(SwitchRow),
    /// A row of a menu, for commands.
    Row(Row),
    /// Byte counters of the interface that was asked for.
    Interface {
        /// Received: download, when the interface faces the internet.
        rx: u64,
        /// Transmitted: upload.
        tx: u64,
    },
}

/// When a request was on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The request was handed to the kernel.
    pub sent: Instant,
    /// The first byte of the answer came.
    pub answered: Instant,
}

impl Exchange {
    /// When the router looked, as far as we know.
    #[must_use]
    pub fn midpoint(self) -> Instant {
        self.sent + self.answered.since(self.sent) / 2
    }

    /// Time between request and answer.
    #[must_use]
    pub fn latency(self) -> Duration {
        self.answered.since(self.sent)
    }
}

/// What the router says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterInfo {
    /// RouterOS version, such as `7.22.1 (stable)`.
    pub version: Text<32>,
    /// Board name, such as `RB5009UG+S+`.
    pub board: Text<32>,
    /// Time since its boot.
    pub uptime: Option<Duration>,
    /// Flash sectors written since its boot.
    pub sectors_written: Option<u64>,
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouterError {
    /// The connection could not be made, or broke.
    Link(LinkError),
    /// No connection within its time.
    ConnectTimeout,
    /// No (complete) response within its time.
    ResponseTimeout,
    /// 401: wrong user or password, address restriction, expired user.
    Auth,
    /// The user's group lacks a policy (500, "not enough permissions").
    Permission,
    /// The object is gone (404, "no such item").
    NotFound,
    /// This version of RouterOS knows no such parameter (400, "unknown parameter").
    UnknownParameter,
    /// It refuses the value (400, "input does not match any value", "failure: …").
    BadValue,
    /// It knows no such path, or the package is missing (400, "no such command").
    NoSuchCommand,
    /// The request ran into the server's limit of 60 s (400, "Session closed").
    SessionClosed,
    /// Another error status.
    Status(u16),
    /// Not HTTP, not JSON, too large, or another menu's body.
    UnexpectedBody,
}

impl RouterError {
    /// Whether the router has understood the request and said no. The connection is as good as
    /// before; the same request would be refused again.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        match self {
            Self::Permission
            | Self::NotFound
            | Self::UnknownParameter
            | Self::BadValue
            | Self::NoSuchCommand
            | Self::Status(_) => true,
            Self::Link(_)
            | Self::ConnectTimeout
            | Self::ResponseTimeout
            | Self::Auth
            | Self::SessionClosed
            | Self::UnexpectedBody => false,
        }
    }
}

impl fmt::Display for RouterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(LinkError::Refused) => f.write_str("connection refused"),
            Self::Link(LinkError::Unreachable) => f.write_str("no route to the router"),
            Self::Link(LinkError::Reset) => f.write_str("connection reset"),
            Self::Link(LinkError::Unknown) => f.write_str("the name can't be looked up"),
            Self::Link(LinkError::Closed) => f.write_str("connection closed by the router"),
            Self::Link(LinkError::Tls(fault)) => tls_fault(*fault, f),
            Self::Link(LinkError::Os(errno)) => write!(f, "{}", std::io::Error::from_raw_os_error(*errno)),
            Self::ConnectTimeout => f.write_str("no connection in time"),
            Self::ResponseTimeout => f.write_str("no answer in time"),
            Self::Auth => f.write_str(
                "access denied (401): check router.user and the password, the user's address= and group policy \
                 rest-api on the router",
            ),
            Self::Permission => f.write_str("the router user lacks a policy: its group needs read, write, rest-api"),
            Self::NotFound => f.write_str("no such object"),
            Self::UnknownParameter => {
                f.write_str("this RouterOS version lacks a parameter that we use; 7.9 or later has it")
            }
            Self::BadValue => f.write_str("the router refused the value"),
            Self::NoSuchCommand => f.write_str("the router knows no such command; is this RouterOS 7?"),
            Self::SessionClosed => f.write_str("the router gave the request up after 60 s"),
            Self::Status(code) => write!(f, "HTTP status {code}"),
            Self::UnexpectedBody => f.write_str("unexpected answer"),
        }
    }
}

/// The SHA-256 of a certificate as RouterOS prints it: hexadecimal, lower case, no colons.
pub struct Fingerprint<'a>(pub &'a [u8; 32]);

impl fmt::Display for Fingerprint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn tls_fault(fault: super::TlsFault, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use super::TlsFault as T;
    match fault {
        T::Fingerprint(pinned, seen) => write!(
            f,
            "the router's certificate has changed: {} is pinned, but it shows {}. Nothing is sent to it. If the \
             change was yours, `wanctl trust` prints the new line for the file",
            Fingerprint(&pinned),
            Fingerprint(&seen)
        ),
        T::UnknownIssuer => f.write_str("the router's certificate is not signed by an authority that is trusted (router.ca_file or router.public_ca)"),
        T::Expired => f.write_str("the router's certificate is expired or not yet valid"),
        T::WrongName => f.write_str("the router's certificate is not for this address (no subject-alt-name for it)"),
        T::ClockNotSet => f.write_str("the clock is not set yet, so the certificate can't be checked"),
        T::NotTls => f.write_str("the other side does not speak TLS on this port"),
        T::Handshake => f.write_str("TLS handshake failed"),
    }
}
