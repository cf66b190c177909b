//! One HTTP response in any pieces. The first byte says how it is cut.

use super::input::pieces;
use wanctl::routeros::http::{BadResponse, MAX_BODY, Part, Response};

/// What a response came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Read {
    status: Option<u16>,
    body: Vec<u8>,
    end: Option<bool>,
    failed: bool,
}

fn read<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Read {
    let (mut response, mut read) = (Response::default(), Read::default());
    for part in parts {
        if feed(&mut response, part, &mut read).is_err() {
            read.failed = true;
            return read;
        }
        if read.end.is_some() {
            return read;
        }
    }
    match response.closed() {
        Ok(Part::End { keep_alive }) => {
            assert!(!keep_alive, "nothing is kept alive after the end of the connection");
            read.end = Some(false);
        }
        Ok(part) => panic!("{part:?} at the end"),
        Err(BadResponse) => {}
    }
    read
}

fn feed(response: &mut Response, bytes: &[u8], read: &mut Read) -> Result<(), BadResponse> {
    let mut rest = bytes;
    // Every call takes a byte, or tells something that can be told once.
    for _ in 0..=2 * bytes.len() + 4 {
        let (used, part) = response.feed(rest)?;
        assert!(used <= rest.len());
        rest = &rest[used..];
        match part {
            Part::Nothing if rest.is_empty() => return Ok(()),
            Part::Nothing => assert!(used > 0 || response_may_turn(read), "no progress"),
            Part::Head { status } => {
                assert!((200..1000).contains(&status) || status < 100, "interim {status} told as the answer");
                assert_eq!(read.status.replace(status), None, "two heads");
            }
            Part::Body(body) => {
                assert!(read.status.is_some() && !body.is_empty() && body.len() == used);
                read.body.extend_from_slice(body);
                assert!(read.body.len() as u64 <= MAX_BODY);
            }
            Part::End { keep_alive } => {
                assert!(read.status.is_some(), "an end without a beginning");
                read.end = Some(keep_alive);
                return Ok(());
            }
        }
    }
    panic!("{} bytes took for ever", bytes.len());
}

/// A change of state without a byte happens only behind a head.
const fn response_may_turn(read: &Read) -> bool {
    read.status.is_some()
}

pub fn run(data: &[u8]) {
    let Some((&how, bytes)) = data.split_first() else { return };
    let whole = read(core::iter::once(bytes));
    let cut = read(pieces(bytes, how));
    if whole.failed || cut.failed {
        // Cut, more may have been handed on before the fault showed, never less or other.
        assert_eq!(whole.failed, cut.failed, "{whole:?} but in pieces {cut:?}");
    } else {
        assert_eq!(whole, cut, "pieces of {how}");
    }
}
