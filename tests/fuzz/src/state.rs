//! The files that survive a restart, of any bytes. Each step is a file: `a`, `b` (the slots of what
//! was learnt) or `o` (the operator's originals). With an even argument the check sum is put right,
//! for otherwise no fuzzer would ever get past it.

use super::input::{crc32, steps};
use core::net::SocketAddr;
use std::sync::Arc;
use wanctl::daemon::{Restored, Store};
use wanctl::types::Millis;
use wanctl_hal::sim::{RouterDouble, RouterSetup, SharedWorld, SimBoard, World, lock};
use wanctl_hal::{MAX_WANS, StoreFile};

/// Whether a file of ours has its own check sum: hexadecimal, behind the first line.
fn is_sealed(content: &[u8]) -> bool {
    let end = content.iter().position(|&b| b == b'\n');
    let parts = end.map(|end| (&content[..end], core::str::from_utf8(&content[end..])));
    parts.is_some_and(|(line, sum)| u32::from_str_radix(sum.unwrap_or("").trim(), 16) == Ok(crc32(line)))
}

fn is_damaged(world: &SharedWorld, file: StoreFile) -> bool {
    lock(world).store.content(file).is_some_and(|content| !is_sealed(&content))
}

pub fn run(data: &[u8]) {
    let world = World::new(RouterDouble::new(RouterSetup::default()), Vec::new()).share();
    for step in steps(data, 3) {
        let file = match step.what {
            b'a' => StoreFile::StateA,
            b'b' => StoreFile::StateB,
            _ => StoreFile::Originals,
        };
        let mut content = step.payload.to_vec();
        if step.how % 2 == 0 {
            content.extend(format!("\n{:08x}\n", crc32(step.payload)).bytes());
        }
        lock(&world).store.set_content(file, Some(&content));
    }
    state(&world);
    originals(&world);
}

fn load(world: &SharedWorld) -> (Store, Restored) {
    let mut store = Store::default();
    let restored = store.load_state(&mut SimBoard::new(Arc::clone(world)));
    (store, restored)
}

/// What is believed is believable; and what is saved on top of it is what is read next time.
fn state(world: &SharedWorld) {
    let (mut store, restored) = load(world);
    for slot in [StoreFile::StateA, StoreFile::StateB] {
        assert!(!is_damaged(world, slot) || restored.unusable.iter().any(|(file, _)| *file == slot), "{slot:?}");
    }
    assert!(restored.wans.len() <= MAX_WANS && restored.unusable.len() <= 2);
    for (_, learnt) in &restored.wans {
        assert!((0.0..=Millis::MAX.get()).contains(&learnt.baseline.get()));
    }
    let router: SocketAddr = "192.0.2.1:443".parse().unwrap();
    let board = &mut SimBoard::new(Arc::clone(world));
    for _ in 0..2 {
        let wans = restored.wans.iter().map(|(name, learnt)| (name.as_str(), *learnt));
        match store.save_state(board, router, wans, true) {
            Ok(written) => assert!(written),
            // Eight names of nothing but escapes do not fit; then the older file stays.
            Err(error) => return assert_eq!(error, wanctl_hal::StoreError::Os(27)),
        }
        let (_, again) = load(world);
        assert_eq!(again.router, Some(router), "what was saved last is not what is read");
        assert_eq!(again.wans, restored.wans);
    }
    assert_eq!(load(world).1.unusable, [], "two writes mend both slots");
}

/// Known, or refused; and once known the same after a save.
fn originals(world: &SharedWorld) {
    let board = &mut SimBoard::new(Arc::clone(world));
    let mut store = Store::default();
    let known = store.load_originals(board);
    assert!(!is_damaged(world, StoreFile::Originals) || known.is_err());
    let Ok(Some(known)) = known else { return };
    assert!(known.len() <= 2 * MAX_WANS);
    let rows = known.iter().map(|(menu, name, limit)| (*menu, name.as_str(), limit));
    if store.save_originals(board, rows).is_ok() {
        assert_eq!(store.load_originals(board), Ok(Some(known)));
    }
}
