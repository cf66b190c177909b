//! A recording from a stranger: with an even first byte the file as it is, with an odd one the
//! content of its only block, with magic and check sums put right.

use super::input::crc32;
use wanctl_hal::record::{Entry, Recording};

/// How a recording begins: magic and version.
const BEGINNING: &[u8] = b"\x9awanrec\n\x01\0\0\0";

pub fn run(data: &[u8]) {
    let Some((&how, bytes)) = data.split_first() else { return };
    if how.is_multiple_of(2) {
        if let Ok(recording) = Recording::read(bytes) {
            assert!(bytes.starts_with(BEGINNING) || recording.cut().is_some());
            let cut = recording.cut().map_or(0, |cut| cut.left);
            assert!(cut <= bytes.len());
            entries(&recording, bytes.len() - cut);
        }
    } else {
        let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let sums = [crc32(&length).to_le_bytes(), crc32(bytes).to_le_bytes()].concat();
        let recording = Recording::read(&[BEGINNING, &length, &sums, bytes].concat()).expect("a sealed block");
        assert_eq!(recording.cut(), None);
        entries(&recording, bytes.len());
    }
}

/// Every entry takes at least a byte, so that reading ends; and none is larger than what was
/// remembered and what was read together.
fn entries(recording: &Recording, length: usize) {
    let mut count = 0;
    for entry in recording.entries() {
        count += 1;
        assert!(count <= length, "more entries than bytes");
        if let Entry::Note(note) = &entry {
            assert!(note.len() <= length);
        }
    }
}
