//! Every entry comes back as it was, and no bytes do harm.

use super::*;
use crate::board::{BadTrust, LinkError, LinkEvent, OpenError, SendError, Signal, StoreError, StoreFile, TlsFault};
use crate::record::End;
use core::net::SocketAddr;
use proptest::prelude::*;
use proptest::sample::select;

fn wan() -> impl Strategy<Value = WanId> {
    (0..MAX_WANS).prop_map(|i| WanId::new(i).unwrap())
}

fn instant() -> impl Strategy<Value = Instant> {
    prop_oneof![any::<u64>(), 0..1000_u64, Just(u64::MAX)].prop_map(Instant::from_nanos)
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from), Just([1; 4].into())]
}

fn socket() -> impl Strategy<Value = SocketAddr> {
    (address(), any::<u16>()).prop_map(SocketAddr::from)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(b"HTTP/1.1 200 OK\r\nDate: now\r\n\r\n[]".to_vec()), prop::collection::vec(any::<u8>(), 0..200)]
}

fn result<T: Clone + core::fmt::Debug, E: Clone + core::fmt::Debug>(
    good: impl Strategy<Value = T>,
    bad: impl Strategy<Value = E>,
) -> impl Strategy<Value = Result<T, E>> {
    prop_oneof![good.prop_map(Ok), bad.prop_map(Err)]
}

fn send_error() -> impl Strategy<Value = SendError> {
    use SendError::*;
    select(vec![WouldBlock, NoBuffers, NetworkUnreachable, NotPermitted, NoAddress, NoSocket, Os(-3), Os(i32::MAX)])
}

fn store_error() -> impl Strategy<Value = StoreError> {
    select(vec![StoreError::NotFound, StoreError::Os(28)])
}

fn file() -> impl Strategy<Value = StoreFile> {
    select(vec![StoreFile::StateA, StoreFile::StateB, StoreFile::Originals])
}

fn open_error() -> impl Strategy<Value = OpenError> {
    let fixed = vec![OpenError::NoPermission, OpenError::Interface("eth\u{e9}".into(), -1), OpenError::Mark(u32::MAX)];
    prop_oneof![select(fixed), address().prop_map(OpenError::Address), any::<i32>().prop_map(OpenError::Os)]
}

fn link_event() -> impl Strategy<Value = LinkEvent> {
    use LinkError::*;
    let faults = [
        TlsFault::Fingerprint([7; 32], [9; 32]),
        TlsFault::UnknownIssuer,
        TlsFault::Expired,
        TlsFault::WrongName,
        TlsFault::ClockNotSet,
        TlsFault::NotTls,
        TlsFault::Handshake,
    ];
    let down = [Refused, Unreachable, Reset, Closed, Os(104)].into_iter().chain(faults.map(Tls));
    let open = [None, Some(false), Some(true)].map(|resumed| LinkEvent::Open { resumed });
    select(down.map(LinkEvent::Down).chain(open).collect::<Vec<_>>())
}

fn echo_event() -> impl Strategy<Value = EchoEvent> {
    prop_oneof![
        (address(), any::<u16>(), any::<u64>(), instant())
            .prop_map(|(from, sequence, token, at)| EchoEvent::Reply(EchoReply { from, sequence, token, at })),
        (address(), address(), any::<u16>()).prop_map(|(from, to, sequence)| EchoEvent::Unreachable {
            from,
            to,
            sequence
        }),
        select(vec![EchoEvent::Malformed, EchoEvent::Foreign, EchoEvent::ClockStep]),
    ]
}

fn io() -> impl Strategy<Value = Io<'static>> {
    prop_oneof![bytes().prop_map(|b| Io::Moved(b.into())), Just(Io::WouldBlock), Just(Io::Down)]
}

fn probe() -> impl Strategy<Value = Entry<'static>> {
    prop_oneof![
        (wan(), address(), 0..20_u16, any::<u64>(), result(instant(), send_error())).prop_map(
            |(wan, to, sequence, token, result)| {
                Entry::SendEcho { wan, request: EchoRequest { to, sequence, token }, result }
            }
        ),
        (wan(), prop::option::of(echo_event())).prop_map(|(wan, event)| Entry::RecvEcho { wan, event }),
        (wan(), address(), any::<u16>(), any::<u64>(), any::<u8>(), result(any::<u64>(), send_error())).prop_map(
            |(wan, to, sequence, token, hops, result)| {
                let result = result.map(Instant::from_nanos);
                Entry::SendTrace { wan, request: EchoRequest { to, sequence, token }, hops, result }
            }
        ),
        (wan(), any::<u8>(), socket(), result(Just(()), send_error()))
            .prop_map(|(wan, slot, to, result)| Entry::TcpProbe { wan, slot, to, result }),
        (wan(), any::<u8>(), prop::option::of(result(any::<u32>(), send_error()))).prop_map(|(wan, slot, result)| {
            let result = result.map(|result| result.map(|us| Duration::from_micros(us.into())));
            Entry::TcpResult { wan, probe: result.map(|result| TcpProbe { slot, result }) }
        }),
        (wan(), "[a-z]{0,9}", result(Just(()), open_error())).prop_map(|(wan, source, result)| Entry::OpenWan {
            wan,
            source: source.into(),
            result
        }),
        wan().prop_map(Entry::CloseWan),
    ]
}

fn rest() -> impl Strategy<Value = Entry<'static>> {
    let trust = select(vec![
        Ok(()),
        Err(BadTrust::NoCertificate),
        Err(BadTrust::Name),
        Err(BadTrust::Provider),
        Err(BadTrust::NoRoots),
    ]);
    let signals = vec![None, Some(Signal::Stop), Some(Signal::Reload), Some(Signal::Dump)];
    prop_oneof![
        any::<u64>().prop_map(Entry::Entropy),
        ("[a-z]{0,9}", trust).prop_map(|(target, result)| Entry::LinkTarget { target: target.into(), result }),
        socket().prop_map(Entry::LinkOpen),
        prop::option::of(link_event()).prop_map(Entry::LinkPoll),
        io().prop_map(Entry::LinkRead),
        io().prop_map(Entry::LinkWrite),
        Just(Entry::LinkClose),
        select(signals).prop_map(Entry::Signal),
        (file(), result(bytes(), store_error()))
            .prop_map(|(file, result)| Entry::Load { file, result: result.map(Into::into) }),
        (file(), any::<bool>(), bytes(), result(Just(()), store_error()))
            .prop_map(|(file, durable, bytes, result)| Entry::Store { file, durable, bytes: bytes.into(), result }),
        bytes().prop_map(|b| Entry::Note(b.into())),
        select(vec![End::Stopped, End::Full, End::Withheld]).prop_map(Entry::End),
    ]
}

/// What can be waited for is never past the end of time.
fn time() -> impl Strategy<Value = Entry<'static>> {
    prop_oneof![
        (0..1_u64 << 62, any::<u64>())
            .prop_map(|(now, wall)| Entry::Clock(Clock { now: Instant::from_nanos(now), wall: WallClock(wall) })),
        (0..1_u64 << 62, any::<u8>(), any::<[bool; 3]>()).prop_map(|(ns, wans, [tcp, link, signal])| Entry::Wait {
            at_most: Duration::from_nanos(ns),
            ready: Ready { wans, tcp, link, signal }
        }),
    ]
}

proptest! {
    #[test]
    fn every_entry_comes_back(entries in prop::collection::vec(prop_oneof![probe(), rest(), time()], 1..60)) {
        let (mut written, mut read, mut out) = (Context::default(), Context::default(), Vec::new());
        entries.iter().for_each(|entry| written.write(entry, &mut out));
        let mut input = Input::at(&out, 0);
        for entry in &entries {
            let back = read.read(&mut input);
            prop_assert_eq!(back.as_ref(), Some(entry));
        }
        prop_assert_eq!(input.position(), out.len());
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut context = Context::default();
        let mut input = Input::at(&bytes, 0);
        while context.read(&mut input).is_some() {}
    }
}

#[test]
fn a_cycle_takes_few_bytes() {
    let (mut context, mut out) = (Context::default(), Vec::new());
    let wan = WanId::new(0).unwrap();
    let to = IpAddr::from([1, 1, 1, 1]);
    let mut now = Instant::from_nanos(86_400_000_000_000);
    let clock = |now: Instant| Entry::Clock(Clock { now, wall: WallClock(now.as_nanos() + 1_795_392_000_000_000_000) });
    let cycle = Duration::from_millis(50);
    let mut before = 0;
    for sequence in 0..1000 {
        before = if sequence == 1 { out.len() } else { before };
        let token = u64::from(sequence).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (sent, at) = (now + Duration::from_micros(3), now + Duration::from_micros(20_123));
        for entry in [
            Entry::SendEcho { wan, request: EchoRequest { to, sequence, token }, result: Ok(sent) },
            Entry::Wait { at_most: cycle, ready: Ready { wans: 1, ..Ready::default() } },
            clock(at),
            Entry::RecvEcho { wan, event: Some(EchoEvent::Reply(EchoReply { from: to, sequence, token, at })) },
            Entry::RecvEcho { wan, event: None },
            Entry::LinkRead(Io::WouldBlock),
            Entry::LinkPoll(None),
            Entry::Wait { at_most: (now + cycle).since(at), ready: Ready::default() },
            clock(now + cycle),
            Entry::LinkRead(Io::WouldBlock),
            Entry::LinkPoll(None),
        ] {
            context.write(&entry, &mut out);
        }
        now += cycle;
    }
    let each = (out.len() - before) / 999;
    assert!(each < 45, "{each} bytes");
}
