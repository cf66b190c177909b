//! Plain values as bytes: numbers seven bits at a time, enums by their number in the tables
//! below. A number, once given, keeps its meaning within one format version.

use super::entry::End;
use crate::board::{
    BadTrust, LinkError, LinkEvent, OpenError, SendError, Signal, StoreError, StoreFile, TlsFault, WanId,
};
use crate::units::{Duration, nanos};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::borrow::Cow;

/// What is left to read.
#[derive(Debug)]
pub(super) struct Input<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    /// Goes on at this position.
    pub(super) const fn at(all: &'a [u8], at: usize) -> Self {
        Self { all, at }
    }

    pub(super) const fn position(&self) -> usize {
        self.at
    }

    pub(super) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let bytes = self.all.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }
}

/// Something with a form in bytes.
pub(super) trait Code: Sized {
    fn put(&self, out: &mut Vec<u8>);
    /// `None` when the bytes end, or mean nothing.
    fn take(input: &mut Input<'_>) -> Option<Self>;
}

impl Code for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        let mut left = *self;
        while left >= 0x80 {
            out.push(left.to_le_bytes()[0] | 0x80);
            left >>= 7;
        }
        out.push(left.to_le_bytes()[0]);
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = input.array()?;
            let part = u64::from(byte & 0x7f);
            if (part << shift) >> shift != part {
                return None;
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

/// Smaller unsigned numbers, as [`u64`].
macro_rules! unsigned {
    ($($type:ty),*) => {$(
        impl Code for $type {
            fn put(&self, out: &mut Vec<u8>) {
                u64::try_from(*self).unwrap_or(u64::MAX).put(out);
            }

            fn take(input: &mut Input<'_>) -> Option<Self> {
                Self::try_from(u64::take(input)?).ok()
            }
        }
    )*};
}

unsigned!(u8, u16, u32, usize);

/// Signed numbers: the sign in the lowest bit, so that small ones are short.
impl Code for i64 {
    fn put(&self, out: &mut Vec<u8>) {
        ((self << 1) ^ (self >> 63)).cast_unsigned().put(out);
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        let coded = u64::take(input)?;
        Some((coded >> 1).cast_signed() ^ -(coded & 1).cast_signed())
    }
}

impl Code for i32 {
    fn put(&self, out: &mut Vec<u8>) {
        i64::from(*self).put(out);
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        Self::try_from(i64::take(input)?).ok()
    }
}

impl Code for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        match input.array()? {
            [0] => Some(false),
            [1] => Some(true),
            [_] => None,
        }
    }
}

impl Code for Duration {
    fn put(&self, out: &mut Vec<u8>) {
        nanos(*self).put(out);
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        u64::take(input).map(Self::from_nanos)
    }
}

/// Fixed length, as it is.
impl<const N: usize> Code for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        input.array()
    }
}

impl Code for Cow<'_, [u8]> {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        out.extend_from_slice(self);
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        let length = usize::take(input)?;
        input.bytes(length).map(|bytes| Cow::Owned(bytes.to_vec()))
    }
}

impl Code for Cow<'_, str> {
    fn put(&self, out: &mut Vec<u8>) {
        Cow::Borrowed(self.as_bytes()).put(out);
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        String::take(input).map(Cow::Owned)
    }
}

impl Code for String {
    fn put(&self, out: &mut Vec<u8>) {
        Cow::Borrowed(self.as_bytes()).put(out);
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        Self::from_utf8(Cow::<[u8]>::take(input)?.into_owned()).ok()
    }
}

impl<T: Code> Code for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        Some(if bool::take(input)? { Some(T::take(input)?) } else { None })
    }
}

impl<T: Code, E: Code> Code for Result<T, E> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_ok().put(out);
        match self {
            Ok(value) => value.put(out),
            Err(error) => error.put(out),
        }
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        Some(if bool::take(input)? { Ok(T::take(input)?) } else { Err(E::take(input)?) })
    }
}

impl Code for () {
    fn put(&self, _: &mut Vec<u8>) {}

    fn take(_: &mut Input<'_>) -> Option<Self> {
        Some(())
    }
}

impl<A: Code, B: Code, C: Code> Code for (A, B, C) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
        self.2.put(out);
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        Some((A::take(input)?, B::take(input)?, C::take(input)?))
    }
}

impl Code for IpAddr {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::V4(ip) => (4_u8, ip.octets(), ()).put(out),
            Self::V6(ip) => (6_u8, ip.octets(), ()).put(out),
        }
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        match u8::take(input)? {
            4 => Some(Self::V4(Ipv4Addr::from(input.array::<4>()?))),
            6 => Some(Self::V6(Ipv6Addr::from(input.array::<16>()?))),
            _ => None,
        }
    }
}

impl Code for SocketAddr {
    fn put(&self, out: &mut Vec<u8>) {
        (self.ip(), self.port(), ()).put(out);
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        let (ip, port, ()) = Code::take(input)?;
        Some(Self::new(ip, port))
    }
}

impl Code for WanId {
    fn put(&self, out: &mut Vec<u8>) {
        self.index().put(out);
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        usize::take(input).and_then(Self::new)
    }
}

/// Enums: a number for every variant, then its fields.
macro_rules! coded {
    ($($type:ident { $($number:literal $variant:ident $(($($field:ident: $of:ty),+))?),+ $(,)? })*) => {$(
        impl Code for $type {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $(($($field),+))? => {
                        out.push($number);
                        $($($field.put(out);)+)?
                    })+
                }
            }

            fn take(input: &mut Input<'_>) -> Option<Self> {
                match u8::take(input)? {
                    $($number => Some(Self::$variant $(($(<$of>::take(input)?),+))?),)+
                    _ => None,
                }
            }
        }
    )*};
}

coded! {
    SendError {
        0 WouldBlock, 1 NoBuffers, 2 NetworkUnreachable, 3 NotPermitted, 4 NoAddress, 5 NoSocket, 6 Os(number: i32),
    }
    OpenError { 0 NoPermission, 1 Address(ip: IpAddr), 2 Interface(name: String, number: i32), 3 Mark(mark: u32), 4 Os(number: i32) }
    BadTrust { 0 NoCertificate, 1 Name, 2 Provider, 3 NoRoots }
    TlsFault {
        0 Fingerprint(pinned: [u8; 32], seen: [u8; 32]), 1 UnknownIssuer, 2 Expired, 3 WrongName, 4 ClockNotSet, 5 NotTls, 6 Handshake,
    }
    LinkError { 0 Refused, 1 Unreachable, 2 Reset, 3 Closed, 4 Tls(fault: TlsFault), 5 Os(number: i32), 6 Unknown }
    Signal { 0 Stop, 1 Reload, 2 Dump }
    StoreFile { 0 StateA, 1 StateB, 2 Originals }
    End { 0 Stopped, 1 Full, 2 Withheld }
    StoreError { 0 NotFound, 1 Os(number: i32) }
}

impl Code for LinkEvent {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Open { resumed } => (0_u8, *resumed, ()).put(out),
            Self::Down(error) => (1_u8, *error, ()).put(out),
        }
    }

    fn take(input: &mut Input<'_>) -> Option<Self> {
        match u8::take(input)? {
            0 => Some(Self::Open { resumed: Code::take(input)? }),
            1 => Some(Self::Down(Code::take(input)?)),
            _ => None,
        }
    }
}
