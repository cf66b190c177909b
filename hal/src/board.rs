//! The edge between the program and the machine: everything the loop can ask for or be told.
//!
//! All calls return at once, except [`Board::wait`], which is the only place where the program
//! sleeps. Every input of the daemon passes through this trait, which is what makes a run
//! repeatable: the simulator answers the same calls in virtual time.

use crate::endpoint::ListenError;
use crate::units::{Duration, Instant, WallClock};
use core::fmt;
use core::net::{IpAddr, SocketAddr};

/// The most WANs one daemon drives.
pub const MAX_WANS: usize = 8;

/// The most rules that send alerts.
pub const MAX_HOOKS: usize = 8;

/// A WAN by its position in the configuration, below [`MAX_WANS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WanId(u8);

impl WanId {
    /// The WAN at `index`, or `None` when there can be none.
    #[must_use]
    pub fn new(index: usize) -> Option<Self> {
        u8::try_from(index).ok().filter(|&i| usize::from(i) < MAX_WANS).map(Self)
    }

    /// The position in the configuration.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Both clocks, read at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Monotonic time: for every decision.
    pub now: Instant,
    /// Wall-clock time: for logs, certificates and the state file.
    pub wall: WallClock,
}

/// What [`Board::wait`] found. Readiness is a hint: reading from something that is not ready
/// merely returns nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// Bit *i* is set when replies may wait on WAN *i*; a board that would have to look first says so of every WAN that is
    /// open.
    pub wans: u8,
    /// A TCP probe may have ended.
    pub tcp: bool,
    /// The router connection may have progressed, or holds something that was not taken.
    pub link: bool,
    /// A signal has arrived.
    pub signal: bool,
}

/// How the probes of one WAN are made to leave through it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProbeSource {
    /// Source address to bind to.
    pub address: Option<IpAddr>,
    /// Interface to bind to (`SO_BINDTODEVICE`).
    pub interface: Option<String>,
    /// Firewall mark to set (`SO_MARK`); works only where the mark is seen, not across a veth.
    pub mark: Option<u32>,
}

/// One ICMP echo request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EchoRequest {
    /// Destination.
    pub to: IpAddr,
    /// Sequence number.
    pub sequence: u16,
    /// Random token carried in the payload; a reply without it is not ours.
    pub token: u64,
}

/// One well-formed echo reply that carries our identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EchoReply {
    /// Who answered.
    pub from: IpAddr,
    /// Sequence number of the request.
    pub sequence: u16,
    /// Token found in the payload.
    pub token: u64,
    /// When it arrived, by the kernel's receive stamp where there is one, on the monotonic clock.
    pub at: Instant,
}

/// What came in on an ICMP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EchoEvent {
    /// An answer to one of our probes, or something that looks like one.
    Reply(EchoReply),
    /// An ICMP error (unreachable, time exceeded) that quotes one of our probes.
    Unreachable {
        /// Who reported it (the first hop, for a TTL-limited probe).
        from: IpAddr,
        /// Where the probe was going.
        to: IpAddr,
        /// Sequence number of the probe.
        sequence: u16,
    },
    /// A datagram that is no ICMP message, too short, or has a wrong checksum.
    Malformed,
    /// Somebody else's ICMP traffic.
    Foreign,
    /// A reply whose arrival can't be placed in time, because the wall clock was set meanwhile.
    ClockStep,
}

/// Why a datagram or a connection attempt did not leave. Counted, never fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The socket buffer is full (`EAGAIN`).
    WouldBlock,
    /// The interface queue is full (`ENOBUFS`).
    NoBuffers,
    /// No route (`ENETUNREACH`, `EHOSTUNREACH`, `ENETDOWN`).
    NetworkUnreachable,
    /// A firewall said no (`EPERM`, `EACCES`).
    NotPermitted,
    /// The source address is gone (`EADDRNOTAVAIL`, `ENODEV`).
    NoAddress,
    /// The WAN has no socket (of this address family).
    NoSocket,
    /// Anything else, by its number.
    Os(i32),
}

/// A finished TCP connect probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpProbe {
    /// The slot given to [`Board::tcp_probe`].
    pub slot: u8,
    /// Time from SYN to SYN-ACK (or to RST, which proves the path as well); the error otherwise.
    pub result: Result<Duration, SendError>,
}

/// Why the ICMP sockets of a WAN can't be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Neither a raw socket (needs `CAP_NET_RAW`) nor a datagram ICMP socket (needs the group in
    /// `net.ipv4.ping_group_range`) may be opened.
    NoPermission,
    /// The source address is not one of this machine's.
    Address(IpAddr),
    /// There is no such interface, or binding to it is not permitted.
    Interface(String, i32),
    /// The mark can't be set (needs `CAP_NET_ADMIN`).
    Mark(u32),
    /// Anything else, by its number.
    Os(i32),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPermission => write!(
                f,
                "no permission to open an ICMP socket. Either give the program CAP_NET_RAW \
                 (run as root, `setcap cap_net_raw+ep wanctl`, or AmbientCapabilities=CAP_NET_RAW in the unit), \
                 or allow unprivileged ping: `sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"`"
            ),
            Self::Address(a) => {
                write!(f, "the source address {a} is not an address of this machine (see `ip address`)")
            }
            Self::Interface(name, errno) => {
                write!(f, "can't bind probes to interface \"{name}\": {}", std::io::Error::from_raw_os_error(*errno))
            }
            Self::Mark(m) => write!(f, "can't set the mark {m} on probes: this needs CAP_NET_ADMIN"),
            Self::Os(errno) => write!(f, "can't open an ICMP socket: {}", std::io::Error::from_raw_os_error(*errno)),
        }
    }
}

/// What is wrong with the router's certificate or its TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// The certificate is not the pinned one: the SHA-256 of that one, and of the one shown.
    Fingerprint([u8; 32], [u8; 32]),
    /// Not signed by the configured CA.
    UnknownIssuer,
    /// The certificate's dates do not include today.
    Expired,
    /// The certificate is not for this name or address.
    WrongName,
    /// The wall clock is not set yet, so dates can't be checked.
    ClockNotSet,
    /// The other side does not speak TLS (plain HTTP on this port).
    NotTls,
    /// No protocol version or cipher in common, or another handshake failure.
    Handshake,
}

/// How the router connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// Nothing listens there.
    Refused,
    /// No route to the router.
    Unreachable,
    /// Cut by the other side (RST), or broken pipe.
    Reset,
    /// Closed by the other side in order (FIN).
    Closed,
    /// Its name can't be looked up.
    Unknown,
    /// TLS said no.
    Tls(TlsFault),
    /// Anything else, by its number.
    Os(i32),
}

/// A change of the router connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// Connected, and the TLS handshake (if any) is complete: bytes may flow.
    Open {
        /// Whether a TLS handshake was made, and if so whether it resumed a session.
        resumed: Option<bool>,
    },
    /// The connection ended; it must be opened anew.
    Down(LinkError),
}

/// Outcome of reading from or writing to the router connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkIo {
    /// This many bytes were moved (more than zero).
    Moved(usize),
    /// Nothing can be moved now.
    WouldBlock,
    /// There is no connection (any more); [`Board::link_poll`] tells why.
    Down,
}

/// A signal, by what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: stop in order.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGUSR1: log the state of everything.
    Dump,
}

/// News for whoever started the process and watches over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The loop begins.
    Ready,
    /// A cycle was run. Told every time; passed on as often as somebody wants to know.
    Alive,
    /// It was asked to stop, and puts things in order.
    Stopping,
}

/// The files the daemon keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoreFile {
    /// First slot of what was learnt (baselines, rates).
    StateA,
    /// Second slot of what was learnt.
    StateB,
    /// The operator's original limits, as they were before our first write.
    Originals,
}

impl StoreFile {
    /// The name below the state directory.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StateA => "state-a",
            Self::StateB => "state-b",
            Self::Originals => "originals",
        }
    }
}

/// A file could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// There is no such file.
    NotFound,
    /// Anything else, by its number (`ENOSPC`, `EROFS`, …).
    Os(i32),
}

/// How the router proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// No TLS at all: a directly attached private address.
    Plain,
    /// The SHA-256 fingerprint of its certificate.
    Fingerprint([u8; 32]),
    /// Certificate authorities, as PEM.
    Authorities(Vec<u8>),
    /// The public certificate authorities inside the program (feature `roots`), whatever the system trusts.
    Public,
}

/// Whom to connect to, and how to know that it is the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkTarget {
    /// Name or address that the certificate must be for (with authorities).
    pub server_name: String,
    /// How the router proves who it is.
    pub trust: Trust,
}

/// A target that can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadTrust {
    /// The PEM text holds no usable certificate.
    NoCertificate,
    /// The server name is neither a DNS name nor an address.
    Name,
    /// The cryptography provider refuses.
    Provider,
    /// The program was built without the public certificate authorities.
    NoRoots,
}

impl core::fmt::Display for BadTrust {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NoCertificate => "ca_file holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
            Self::Name => "the URL names neither a host nor an address that a certificate can be for",
            Self::Provider => "TLS can't be set up",
            Self::NoRoots => "this program was built without public certificate authorities (feature `roots`)",
        })
    }
}

/// A machine, real or simulated.
pub trait Board {
    /// Reads both clocks.
    fn clock(&mut self) -> Clock;

    /// 64 unpredictable bits (seeded, hence predictable, on the simulator).
    fn entropy(&mut self) -> u64;

    /// Sleeps until `until`, or until the link, a TCP probe or a signal has news. The only call that
    /// blocks. Echo replies are told of, but do not end the sleep: they carry the time of their
    /// arrival, and a wake-up for each would be most of the loop's work.
    fn wait(&mut self, until: Instant) -> Ready;

    /// Opens the ICMP sockets (IPv4 and IPv6, as far as the machine has them) of a WAN, replacing
    /// those it had.
    ///
    /// # Errors
    /// [`OpenError`], when no socket of either family can be opened.
    fn open_wan(&mut self, wan: WanId, source: &ProbeSource) -> Result<(), OpenError>;

    /// Closes the sockets of a WAN.
    fn close_wan(&mut self, wan: WanId);

    /// Sends an echo request, and returns the moment it was handed to the kernel.
    ///
    /// # Errors
    /// [`SendError`]; to be counted.
    fn send_echo(&mut self, wan: WanId, request: &EchoRequest) -> Result<Instant, SendError>;

    /// Sends a probe that may go over so many hops and no more: the router there tells who it is by an
    /// [`EchoEvent::Unreachable`]. (Sockets without `CAP_NET_RAW` are not told.)
    ///
    /// # Errors
    /// As [`Board::send_echo`].
    fn send_trace(&mut self, wan: WanId, request: &EchoRequest, hops: u8) -> Result<Instant, SendError>;

    /// Takes one datagram of those that the ICMP sockets of a WAN had when somebody first asked since the last sleep, or
    /// later ones with them; what is not taken stays.
    fn recv_echo(&mut self, wan: WanId) -> Option<EchoEvent>;

    /// Starts to connect to `to`, from the source of the WAN; the end is told by
    /// [`Board::tcp_result`]. A probe still running in the same slot is given up.
    ///
    /// # Errors
    /// [`SendError`], when the attempt can't even start.
    fn tcp_probe(&mut self, wan: WanId, slot: u8, to: SocketAddr) -> Result<(), SendError>;

    /// Takes one finished TCP probe of a WAN.
    fn tcp_result(&mut self, wan: WanId) -> Option<TcpProbe>;

    /// Whom to connect to from the next connection on. The simulation has no TLS, and takes any.
    ///
    /// # Errors
    /// [`BadTrust`]; the old target stays.
    fn link_target(&mut self, target: &LinkTarget) -> Result<(), BadTrust>;

    /// Begins to connect to the router; the outcome is told by [`Board::link_poll`]. Drops any
    /// connection there was.
    fn link_open(&mut self, to: SocketAddr);

    /// Takes one change of the router connection, making progress with connect and handshake.
    fn link_poll(&mut self) -> Option<LinkEvent>;

    /// Reads plain-text bytes from the router into `buffer`.
    fn link_read(&mut self, buffer: &mut [u8]) -> LinkIo;

    /// Hands plain-text bytes for the router to the connection.
    fn link_write(&mut self, bytes: &[u8]) -> LinkIo;

    /// Closes the router connection; no event follows.
    fn link_close(&mut self);

    /// Listens at `at` for clients of the local endpoint, or no more; clients that are there stay.
    /// Returns where it listens. Nothing that clients do is part of a recording: it never changes
    /// what is decided.
    ///
    /// # Errors
    /// [`ListenError`]; then nothing listens.
    fn listen(&mut self, at: Option<SocketAddr>) -> Result<Option<SocketAddr>, ListenError> {
        Ok(at)
    }

    /// Takes in a client, if one waits and one of the [`crate::CLIENTS`] places is free; returns its place.
    /// Clients never end the sleep.
    fn client_accept(&mut self) -> Option<usize> {
        None
    }

    /// Reads what a client says.
    fn client_read(&mut self, _client: usize, _buffer: &mut [u8]) -> LinkIo {
        LinkIo::Down
    }

    /// Tells a client something.
    fn client_write(&mut self, _client: usize, _bytes: &[u8]) -> LinkIo {
        LinkIo::Down
    }

    /// Closes a client's connection.
    fn client_close(&mut self, _client: usize) {}

    /// Whom alerts of the rule in `slot` (below [`MAX_HOOKS`]) go to from now on, or to nobody. Like what clients
    /// do, nothing about alerts ends a sleep or is part of a recording: it never changes what is decided.
    ///
    /// # Errors
    /// [`BadTrust`]; then it is nobody.
    fn hook_target(&mut self, _slot: usize, _target: Option<&LinkTarget>) -> Result<(), BadTrust> {
        Ok(())
    }

    /// Begins to connect to this port of the target in `slot`, looking its name up on the way; the outcome is
    /// told by [`Board::hook_poll`]. Drops any such connection there was: there is one at a time.
    fn hook_open(&mut self, _slot: usize, _port: u16) {}

    /// Takes one change of that connection, making progress with look-up, connect and handshake.
    fn hook_poll(&mut self) -> Option<LinkEvent> {
        None
    }

    /// Reads plain-text bytes from it.
    fn hook_read(&mut self, _buffer: &mut [u8]) -> LinkIo {
        LinkIo::Down
    }

    /// Hands plain-text bytes to it.
    fn hook_write(&mut self, _bytes: &[u8]) -> LinkIo {
        LinkIo::Down
    }

    /// Closes it; no event follows.
    fn hook_close(&mut self) {}

    /// The monotonic clock, to measure how long work takes and for nothing else: it stands still on
    /// boards that are not real, and is not part of a recording.
    fn stopwatch(&mut self) -> Instant {
        Instant::ZERO
    }

    /// Takes one signal.
    fn signal(&mut self) -> Option<Signal>;

    /// Tells whoever watches over the process. Does nothing where nobody does.
    fn notify(&mut self, _notice: Notice) {}

    /// Reads a file of ours into `buffer`, and returns its length.
    ///
    /// # Errors
    /// [`StoreError`]; a file larger than the buffer is `EFBIG`.
    fn load(&mut self, file: StoreFile, buffer: &mut [u8]) -> Result<usize, StoreError>;

    /// Replaces a file of ours as a whole: written beside, then renamed. With `durable` the data
    /// are on the medium when the call returns (this may take seconds: never inside the loop,
    /// except once before the first write to the router).
    ///
    /// # Errors
    /// [`StoreError`]; the file is then as it was.
    fn store(&mut self, file: StoreFile, bytes: &[u8], durable: bool) -> Result<(), StoreError>;
}
