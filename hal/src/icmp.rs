//! ICMP echo messages: bytes ⇄ requests and replies. Pure; the parser takes any bytes.
//!
//! Our payload is sixteen bytes: a constant that says "wanctl", and the probe's token. A probe
//! with its IPv4 header is 44 bytes on the wire.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Marks a payload as ours.
const MAGIC: [u8; 8] = *b"wanctl\x00\x01";

/// Length of an echo message of ours: ICMP header and payload.
pub const MESSAGE: usize = 24;

/// Address family of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// ICMP.
    V4,
    /// ICMPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    const fn echo_request(self) -> u8 {
        match self {
            Self::V4 => 8,
            Self::V6 => 128,
        }
    }

    const fn echo_reply(self) -> u8 {
        match self {
            Self::V4 => 0,
            Self::V6 => 129,
        }
    }

    /// Whether a message of this type quotes the packet it is about.
    const fn is_error(self, kind: u8) -> bool {
        match self {
            Self::V4 => matches!(kind, 3 | 11 | 12),
            Self::V6 => matches!(kind, 1..=4),
        }
    }
}

/// What a datagram holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// An echo reply with a payload like ours.
    Reply {
        /// Identifier.
        ident: u16,
        /// Sequence number.
        sequence: u16,
        /// Token from the payload.
        token: u64,
    },
    /// An error about an echo request.
    Error {
        /// Identifier of that request.
        ident: u16,
        /// Sequence number of that request.
        sequence: u16,
        /// Where that request was going.
        to: IpAddr,
    },
    /// Another valid ICMP message.
    Other,
}

/// Writes an echo request. The ICMPv6 checksum is left to the kernel, which alone knows the
/// addresses.
#[must_use]
pub fn encode(family: Family, ident: u16, sequence: u16, token: u64) -> [u8; MESSAGE] {
    let mut message = [0; MESSAGE];
    message[0] = family.echo_request();
    message[4..6].copy_from_slice(&ident.to_be_bytes());
    message[6..8].copy_from_slice(&sequence.to_be_bytes());
    message[8..16].copy_from_slice(&MAGIC);
    message[16..24].copy_from_slice(&token.to_be_bytes());
    if family == Family::V4 {
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    message
}

/// Reads a datagram: an IPv4 packet (`with_header`, from raw IPv4 sockets) or a bare ICMP message.
/// `None` for what is no valid message.
#[must_use]
pub fn parse(family: Family, with_header: bool, bytes: &[u8]) -> Option<Message> {
    let message = if with_header { ipv4_payload(bytes)? } else { bytes };
    let (kind, code) = (*message.first()?, *message.get(1)?);
    if message.len() < 8 || (family == Family::V4 && checksum(message) != 0) {
        return None;
    }
    if kind == family.echo_reply() && code == 0 {
        let (ident, sequence) = (be16(message, 4)?, be16(message, 6)?);
        let ours = message.get(8..16) == Some(&MAGIC[..]);
        let token = message.get(16..24).and_then(|t| t.try_into().ok()).map(u64::from_be_bytes);
        return Some(match token.filter(|_| ours) {
            Some(token) => Message::Reply { ident, sequence, token },
            None => Message::Other,
        });
    }
    if family.is_error(kind) {
        return Some(quoted_request(family, &message[8..]).unwrap_or(Message::Other));
    }
    Some(Message::Other)
}

/// The echo request that an error quotes.
fn quoted_request(family: Family, packet: &[u8]) -> Option<Message> {
    let (to, inner) = match family {
        Family::V4 => {
            let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            (IpAddr::V4(Ipv4Addr::from(to)), ipv4_payload(packet)?)
        }
        Family::V6 => {
            const ICMPV6: u8 = 58;
            if *packet.get(6)? != ICMPV6 {
                return None;
            }
            let to: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            (IpAddr::V6(Ipv6Addr::from(to)), packet.get(40..)?)
        }
    };
    (*inner.first()? == family.echo_request()).then_some(())?;
    Some(Message::Error { ident: be16(inner, 4)?, sequence: be16(inner, 6)?, to })
}

/// What follows the header of an IPv4 packet that carries ICMP.
fn ipv4_payload(packet: &[u8]) -> Option<&[u8]> {
    const ICMP: u8 = 1;
    let first = *packet.first()?;
    if first >> 4 != 4 || *packet.get(9)? != ICMP {
        return None;
    }
    packet.get(usize::from(first & 15).max(5) * 4..)
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

/// The internet checksum (RFC 1071); zero over a message that contains its own.
fn checksum(bytes: &[u8]) -> u16 {
    let pairs = bytes.chunks(2).map(|p| u32::from(p[0]) << 8 | u32::from(p.get(1).copied().unwrap_or(0)));
    let sum = pairs.fold(0u32, |sum, pair| {
        let sum = sum + pair;
        (sum & 0xffff) + (sum >> 16)
    });
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the other side makes of our request.
    fn answer(family: Family, mut message: [u8; MESSAGE]) -> [u8; MESSAGE] {
        message[0] = family.echo_reply();
        message[2..4].fill(0);
        let sum = checksum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        message
    }

    fn ipv4(payload: &[u8], options: usize) -> Vec<u8> {
        let mut packet = vec![0x45 + u8::try_from(options).unwrap(), 0];
        packet.resize(20 + options * 4, 0);
        packet[9] = 1;
        packet[16..20].copy_from_slice(&[9, 9, 9, 9]);
        packet.extend_from_slice(payload);
        packet
    }

    #[test]
    fn requests_come_back_as_replies() {
        for family in [Family::V4, Family::V6] {
            let reply = answer(family, encode(family, 7, 8, 9));
            let expected = Some(Message::Reply { ident: 7, sequence: 8, token: 9 });
            assert_eq!(parse(family, false, &reply), expected);
            assert_eq!(parse(Family::V4, true, &ipv4(&answer(Family::V4, encode(Family::V4, 7, 8, 9)), 2)), expected);
        }
    }

    #[test]
    fn errors_quote_the_request() {
        let mut error = vec![3, 1, 0, 0, 0, 0, 0, 0];
        error.extend(ipv4(&encode(Family::V4, 7, 8, 9)[..8], 0));
        let sum = checksum(&error);
        error[2..4].copy_from_slice(&sum.to_be_bytes());
        let to = IpAddr::V4(Ipv4Addr::new(9, 9, 9, 9));
        assert_eq!(parse(Family::V4, false, &error), Some(Message::Error { ident: 7, sequence: 8, to }));
    }

    #[test]
    fn damage_is_no_message_and_others_are_not_ours() {
        let mut reply = answer(Family::V4, encode(Family::V4, 7, 8, 9));
        reply[20] ^= 1;
        assert_eq!(parse(Family::V4, false, &reply), None, "checksum");
        let mut ping = answer(Family::V6, encode(Family::V6, 7, 8, 9));
        ping[8] = 0;
        assert_eq!(parse(Family::V6, false, &ping), Some(Message::Other), "somebody's ping");
        assert_eq!(parse(Family::V4, true, &[]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..128), header: bool, v6: bool) {
            let _ = parse(if v6 { Family::V6 } else { Family::V4 }, header, &bytes);
        }
    }
}
