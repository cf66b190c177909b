//! How a simulated router is configured before anybody talks to it.

use super::fault::Latency;
use crate::units::{Duration, WallClock};
use core::ops::RangeInclusive;

/// A queue menu of the double.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueMenu {
    /// `/queue/tree`.
    Tree,
    /// `/queue/simple`.
    Simple,
}

/// A queue that is there from the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSetup {
    /// Where it is.
    pub menu: QueueMenu,
    /// Its name.
    pub name: String,
    /// The parent of a queue of the tree, the target of a simple queue.
    pub place: String,
    /// `max-limit` as it reads back: one number, or `upload/download`.
    pub max_limit: String,
    /// Its queue type, or `upload/download`.
    pub queue_type: String,
    /// Its comment.
    pub comment: String,
}

impl QueueSetup {
    /// A queue of the tree.
    #[must_use]
    pub fn tree(name: &str, parent: &str, max_limit: u64) -> Self {
        Self {
            menu: QueueMenu::Tree,
            name: name.to_owned(),
            place: parent.to_owned(),
            max_limit: max_limit.to_string(),
            queue_type: "cake".to_owned(),
            comment: String::new(),
        }
    }

    /// A simple queue.
    #[must_use]
    pub fn simple(name: &str, target: &str, upload: u64, download: u64) -> Self {
        Self {
            menu: QueueMenu::Simple,
            name: name.to_owned(),
            place: target.to_owned(),
            max_limit: format!("{upload}/{download}"),
            queue_type: "cake/cake".to_owned(),
            comment: String::new(),
        }
    }
}

/// Which shaper of the router, in which of its halves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShaperRef {
    /// Name of the queue.
    pub queue: String,
    /// Which half of it.
    pub half: Half,
}

/// A half of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// All of a queue of the tree, or the upload half (the first) of a simple queue.
    First,
    /// The download half of a simple queue.
    Second,
}

impl Half {
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }
}

/// How the router is configured.
#[derive(Clone, Debug)]
pub struct RouterSetup {
    /// The user that is let in.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// Whether the user's group has the policy `read`.
    pub may_read: bool,
    /// Whether the user's group has the policy `write`.
    pub may_write: bool,
    /// The queues.
    pub queues: Vec<QueueSetup>,
    /// Names of the interfaces.
    pub interfaces: Vec<String>,
    /// Names of the queue types, besides `default` and `default-small`.
    pub queue_types: Vec<String>,
    /// `version` of `/system/resource`.
    pub version: String,
    /// `name` of `/system/identity`.
    pub identity: String,
    /// How long a request takes.
    pub latency: Latency,
    /// Counters are renewed only this often; `None`: always.
    pub counter_period: Option<Duration>,
    /// It closes connections that were idle for a time of chance in this range; `None`: never.
    pub idle_close: Option<RangeInclusive<Duration>>,
    /// What the router's part of a TLS handshake takes: up to seconds on small boards.
    pub handshake: Duration,
    /// A client that goes away before its answer damages the web server for 1.3 to 2.4 s: whatever
    /// is answered in that time has the status of another request, or all connections are cut.
    pub abort_damage: bool,
    /// For this long after a boot, reads are answered with another menu's content.
    pub boot_confusion: Duration,
    /// After a boot the rows of a menu have the ids of each other, instead of new ones: whoever
    /// trusts an id from before then changes the wrong queue.
    pub boot_swaps_ids: bool,
    /// How long it had been up at [`crate::Instant::ZERO`].
    pub uptime: Duration,
    /// The wall clock at [`crate::Instant::ZERO`].
    pub wall: WallClock,
    /// For everything drawn by chance.
    pub seed: u64,
}

impl Default for RouterSetup {
    /// User `wanctl` with password `secret`, a tree of `wan1-dl` (100M) and `wan1-ul` (20M).
    fn default() -> Self {
        Self {
            user: "wanctl".to_owned(),
            password: "secret".to_owned(),
            may_read: true,
            may_write: true,
            queues: vec![
                QueueSetup::tree("wan1-dl", "bridge", 100_000_000),
                QueueSetup::tree("wan1-ul", "ether1", 20_000_000),
            ],
            interfaces: ["ether1", "ether2", "bridge"].map(str::to_owned).to_vec(),
            queue_types: vec!["cake".to_owned()],
            version: "7.24.5 (stable)".to_owned(),
            identity: "MikroTik".to_owned(),
            latency: Latency::default(),
            counter_period: None,
            idle_close: None,
            handshake: Duration::ZERO,
            abort_damage: true,
            boot_confusion: Duration::ZERO,
            boot_swaps_ids: false,
            uptime: Duration::from_secs(86_400),
            // 2026-11-23 00:00:00 UTC.
            wall: WallClock(1_795_392_000_000_000_000),
            seed: 1,
        }
    }
}
