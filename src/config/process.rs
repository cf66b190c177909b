//! As whom the program runs once it has what it needs, and how urgently.

use super::read::Section;

/// What the process becomes after its start. Can't be changed by a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Whom to become when started as root: a name, or `uid:gid`.
    pub user: Option<String>,
    /// Real-time priority, 1 to 99; 0: an ordinary process.
    pub realtime: u8,
    /// Whether memory is locked, so that the loop never waits for a disk.
    pub lock_memory: bool,
}

pub(super) fn read(section: &Section<'_, '_>) -> Process {
    let process = Process {
        user: section.text("user"),
        realtime: section.count("realtime", 0..=99).and_then(|n| u8::try_from(n).ok()).unwrap_or(0),
        lock_memory: section.flag("lock_memory").unwrap_or(false),
    };
    section.finish();
    process
}
