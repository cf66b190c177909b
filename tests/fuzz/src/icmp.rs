//! ICMP datagrams of any bytes; and a probe of ours, its answer and the errors about it, whole and
//! damaged. The first bytes are the probe and the damage, the rest is the datagram.

use super::input::number;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use wanctl_hal::icmp::{Family, MESSAGE, Message, encode, parse};

/// Identifier, sequence, token (8), bit to flip (2), bytes of options and of quotation, destination.
const HEADER: usize = 17;

pub fn run(data: &[u8]) {
    for (family, with_header) in [(Family::V4, true), (Family::V4, false), (Family::V6, false)] {
        any(family, with_header, data);
        any(family, with_header, data.get(HEADER..).unwrap_or(&[]));
    }
    ours(data);
}

/// Any bytes: nothing is read that is not there.
fn any(family: Family, with_header: bool, bytes: &[u8]) {
    let message = parse(family, with_header, bytes);
    let header = if with_header { bytes.first().map_or(0, |b| usize::from(b & 15).max(5) * 4) } else { 0 };
    match message {
        None => {}
        Some(Message::Other) => assert!(bytes.len() >= header + 8),
        Some(Message::Reply { ident, sequence, token }) => {
            let message = &bytes[header..];
            assert_eq!(message[4..8], [ident.to_be_bytes(), sequence.to_be_bytes()].concat());
            assert_eq!(message[16..24], token.to_be_bytes());
            assert_eq!(&message[8..14], b"wanctl");
        }
        Some(Message::Error { ident, sequence, to }) => {
            assert_eq!(Family::of(to), family);
            let echo = [ident.to_be_bytes(), sequence.to_be_bytes()].concat();
            assert!(bytes[header + 8..].windows(4).any(|w| w == echo), "quoted from nowhere");
        }
    }
}

/// The internet checksum, written from RFC 1071 a second time.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let mut sum: u64 = 0;
    for pair in bytes.chunks(2) {
        sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap()).to_be_bytes()
}

fn sealed(mut message: Vec<u8>, family: Family) -> Vec<u8> {
    message[2..4].fill(0);
    if family == Family::V4 {
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum);
    }
    message
}

/// An IP packet that carries `payload`.
fn packet(to: IpAddr, options: usize, payload: &[u8]) -> Vec<u8> {
    let mut packet = match to {
        IpAddr::V4(to) => {
            let mut header = vec![0; 20 + options * 4];
            header[0] = 0x45 + u8::try_from(options).unwrap();
            header[9] = 1;
            header[16..20].copy_from_slice(&to.octets());
            header
        }
        IpAddr::V6(to) => {
            let mut header = vec![0; 40];
            (header[0], header[6]) = (0x60, 58);
            header[24..40].copy_from_slice(&to.octets());
            header
        }
    };
    packet.extend_from_slice(payload);
    packet
}

fn ours(data: &[u8]) {
    let ident = u16::try_from(number(data, 0) & 0xffff).unwrap();
    let sequence = u16::try_from(number(data, 2) & 0xffff).unwrap();
    let token = number(data, 4);
    let bit = usize::try_from(number(data, 12) & 0xffff).unwrap();
    let options = usize::from(data.get(14).copied().unwrap_or(0)) % 11;
    let quoted = usize::from(data.get(15).copied().unwrap_or(0));
    let host = data.get(16).copied().unwrap_or(0);
    for family in [Family::V4, Family::V6] {
        let (reply_kind, errors): (u8, &[u8]) = match family {
            Family::V4 => (0, &[3, 11, 12]),
            Family::V6 => (129, &[1, 2, 3, 4]),
        };
        let to = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(198, 51, 100, host)),
            Family::V6 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(host))),
        };
        let request = encode(family, ident, sequence, token);
        assert_eq!(parse(family, false, &request), Some(Message::Other), "our own request is no reply");
        let mut reply = request.to_vec();
        reply[0] = reply_kind;
        let reply = sealed(reply, family);
        let expected = Some(Message::Reply { ident, sequence, token });
        assert_eq!(parse(family, false, &reply), expected);
        if family == Family::V4 {
            assert_eq!(parse(family, true, &packet(to, options, &reply)), expected);
        }
        damaged(family, &reply, bit, expected);
        quoting(family, errors[usize::from(host) % errors.len()], to, options, quoted, &request, (ident, sequence));
    }
}

/// One flipped bit: no message (the checksum tells), or, for ICMPv6, where the kernel has verified
/// the checksum already, never the reply it was.
fn damaged(family: Family, reply: &[u8], bit: usize, expected: Option<Message>) {
    let bit = bit % (MESSAGE * 8);
    let mut damaged = reply.to_vec();
    damaged[bit / 8] ^= 1 << (bit % 8);
    let read = parse(family, false, &damaged);
    match family {
        Family::V4 => assert_eq!(read, None, "bit {bit}"),
        Family::V6 if (16..32).contains(&bit) => assert_eq!(read, expected, "the kernel looks at these"),
        Family::V6 => assert_ne!(read, expected, "bit {bit}"),
    }
    let short = &reply[..bit / 8];
    assert!(!matches!(parse(family, false, short), Some(Message::Reply { .. })), "a part of a reply");
}

/// An error that quotes our request in full or in part names it, or is somebody else's.
fn quoting(
    family: Family,
    kind: u8,
    to: IpAddr,
    options: usize,
    quoted: usize,
    request: &[u8],
    (ident, sequence): (u16, u16),
) {
    let inner = packet(to, options, request);
    let header = inner.len() - request.len();
    let quoted = quoted.min(inner.len());
    let mut error = vec![kind, 1, 0, 0, 0, 0, 0, 0];
    error.extend_from_slice(&inner[..quoted]);
    let read = parse(family, false, &sealed(error, family));
    if quoted >= header + 8 {
        assert_eq!(read, Some(Message::Error { ident, sequence, to }));
    } else {
        assert_eq!(read, Some(Message::Other), "{quoted} of {header} and 8 bytes quoted");
    }
}
