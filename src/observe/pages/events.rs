//! `/events`: the last events, oldest first, with the reason in plain words.

use super::{Cursor, PIECE, Piece, Quoted, SCHEMA};
use crate::observe::{Described, Facts, about, level};
use core::fmt::Write as _;

/// Room that one event needs at most.
const ROOM: usize = 700;

pub(super) fn piece(cursor: &mut Cursor, facts: &dyn Facts, out: &mut Piece) -> bool {
    let ring = facts.events();
    let first = ring.total().saturating_sub(ring.iter().count() as u64);
    if cursor.step == 0 {
        let _ = write!(out, "{{\"schema\":{SCHEMA},\"events\":[");
    }
    // What was overwritten meanwhile is passed over.
    cursor.number = cursor.number.max(first);
    let whole = facts.whole();
    let skip = usize::try_from(cursor.number - first).unwrap_or(0);
    for event in ring.iter().skip(skip) {
        if PIECE - out.len() < ROOM {
            return true;
        }
        let time = whole.wall - whole.now.since(event.at).as_secs_f64();
        let text = Quoted(Described { kind: &event.kind, names: facts.names() });
        let _ = write!(
            out,
            "{}\n{{\"number\":{},\"time\":{time:.3},\"level\":\"{}\",\"about\":\"{}\",\"text\":{text}}}",
            cursor.separator(),
            cursor.number,
            level(&event.kind).as_str(),
            about(&event.kind),
        );
        cursor.number += 1;
    }
    let _ = out.push_str("\n]}\n");
    false
}
