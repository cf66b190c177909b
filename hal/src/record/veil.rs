//! What must not be seen: the value of the `Authorization` header of a request. Neither it nor
//! its length reaches a recording, so a replay may use any other secret.

/// The header whose value is hidden, in lower case.
const HEADER: &[u8] = b"authorization:";

/// Follows the bytes of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Veil {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes of the line are those of the header's name.
    Name(usize),
    /// Another line.
    Other,
    /// In the value.
    Value,
}

impl Default for State {
    fn default() -> Self {
        Self::Name(0)
    }
}

impl Veil {
    /// Takes the next byte; returns whether it is to be hidden.
    pub fn hides(&mut self, byte: u8) -> bool {
        self.state = match (self.state, byte) {
            (_, b'\n') => State::Name(0),
            (State::Value, b'\r') => State::Other,
            (State::Value, _) => return true,
            (State::Name(matched), byte) if byte.eq_ignore_ascii_case(&HEADER[matched]) => {
                if matched + 1 == HEADER.len() { State::Value } else { State::Name(matched + 1) }
            }
            _ => State::Other,
        };
        false
    }

    /// How many of the `offered` bytes have to be taken so that exactly `public` of them are
    /// seen; a hidden value behind them is left for the next time. `None` when others are offered.
    pub fn take(&mut self, offered: &[u8], public: &[u8]) -> Option<usize> {
        let (mut taken, mut seen) = (0, 0);
        for &byte in offered {
            let mut next = *self;
            if seen == public.len() {
                break;
            }
            if !next.hides(byte) {
                if byte != public[seen] {
                    return None;
                }
                seen += 1;
            }
            *self = next;
            taken += 1;
        }
        (seen == public.len()).then_some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "GET /x HTTP/1.1\r\nHost: a\r\nauthorization: Basic c2VjcmV0\r\nA: b\r\n\r\n";

    fn seen(bytes: &str) -> String {
        let mut veil = Veil::default();
        bytes.bytes().filter(|&b| !veil.hides(b)).map(char::from).collect()
    }

    #[test]
    fn only_the_value_is_hidden() {
        assert_eq!(seen(REQUEST), "GET /x HTTP/1.1\r\nHost: a\r\nauthorization:\r\nA: b\r\n\r\n");
        assert_eq!(seen("X-Authorization: a\r\nAuthorizationx: b\r\n"), "X-Authorization: a\r\nAuthorizationx: b\r\n");
        assert_eq!(seen(&REQUEST.repeat(2)).matches("authorization:\r\n").count(), 2);
    }

    /// However the bytes were cut when they were recorded, another secret is cut at the same
    /// places of what is seen.
    #[test]
    fn another_secret_is_taken_in_step() {
        let other = REQUEST.replace("c2VjcmV0", "YW5vdGhlciBhbmQgbG9uZ2Vy");
        for piece in 1..REQUEST.len() {
            let (mut written, mut played) = (Veil::default(), Veil::default());
            let mut rest = other.as_bytes();
            for cut in REQUEST.as_bytes().chunks(piece) {
                let public: Vec<u8> = cut.iter().copied().filter(|&b| !written.hides(b)).collect();
                let taken = played.take(rest, &public).unwrap();
                rest = &rest[taken..];
            }
            assert!(rest.is_empty(), "{piece}");
        }
        assert_eq!(Veil::default().take(b"GET /y", b"GET /x"), None);
        assert_eq!(Veil::default().take(b"GET", b"GET /x"), None);
    }
}
