//! What survives a restart: baselines and rates (two slots in turn, the newest valid one wins),
//! and the operator's original limits (one file, written before our first write).
//!
//! A file is one line of JSON and a line with its CRC-32. Files of a later version, torn or
//! damaged ones are passed over, with a warning by the caller.

use crate::decide::Learnt;
use crate::types::{Bitrate, Menu, Millis, Text, Verbatim};
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use wanctl_hal::crc32::crc32;
use wanctl_hal::{Board, StoreError, StoreFile};

/// Largest file: eight WANs with long names fit three times.
const MAX_FILE: usize = 4096;

/// Version of the files; a later one is not understood.
const VERSION: u32 = 1;

/// Why a file is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Torn or damaged: the check sum does not fit, or it is no JSON of ours.
    Damaged,
    /// Written by a later version of the program.
    Later,
    /// Can't be read; by its number.
    Os(i32),
}

impl core::fmt::Display for Unusable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Damaged => f.write_str("damaged"),
            Self::Later => f.write_str("of a later version"),
            Self::Os(errno) => write!(f, "unreadable ({})", std::io::Error::from_raw_os_error(*errno)),
        }
    }
}

/// What was learnt about one WAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct WanRecord {
    name: Text<64>,
    baseline_ms: f64,
    download_bps: u64,
    upload_bps: u64,
}

/// What was learnt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StateRecord {
    version: u32,
    sequence: u64,
    router: Option<SocketAddr>,
    wans: WanRecords,
    #[serde(default, skip_serializing_if = "heapless::Vec::is_empty")]
    steering: SteerRecords,
}

/// What steering remembers of one pair. Times are those of the wall clock, in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SteerRecord {
    /// Name of the pair.
    pub name: Text<32>,
    /// Name of the WAN in use, if it is an alternate.
    pub at: Option<Text<64>>,
    /// When connections last turned.
    pub turned: Option<u64>,
    /// When they last came back.
    pub returned: Option<u64>,
    /// How often the primary was bad again soon after.
    pub relapses: u8,
    /// Until when the brake holds.
    pub until: Option<u64>,
    /// How often its hold was doubled.
    pub level: u8,
    /// The last turns, in seconds before now.
    pub ago: heapless::Vec<u32, 8>,
    /// When this was written.
    pub now: u64,
}

/// What steering remembers of all pairs.
pub type SteerRecords = heapless::Vec<SteerRecord, { crate::decide::steering::MAX_PAIRS }>;

/// What was learnt about all WANs.
type WanRecords = heapless::Vec<WanRecord, { wanctl_hal::MAX_WANS }>;

/// The operator's original limit of one queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct OriginalRecord {
    menu: Text<8>,
    name: Text<64>,
    max_limit: Verbatim,
}

/// The operator's original limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct OriginalsRecord {
    version: u32,
    queues: heapless::Vec<OriginalRecord, { 2 * wanctl_hal::MAX_WANS }>,
}

/// An original limit from the journal: menu, name of the queue, limit.
pub type KnownOriginal = (Menu, Text<64>, Verbatim);

/// Reads and writes what survives.
#[derive(Debug)]
pub struct Store {
    buffer: Box<[u8; MAX_FILE]>,
    sequence: u64,
    /// What the newest file holds.
    saved: WanRecords,
    /// What steering remembers, for the next file.
    steering: SteerRecords,
    /// It has changed since the newest file.
    steering_is_new: bool,
}

/// What an earlier run has left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restored {
    /// The router's address, for when its name can't be looked up.
    pub router: Option<SocketAddr>,
    /// What was learnt, by name of the WAN.
    pub wans: Vec<(Text<64>, Learnt)>,
    /// What steering remembers.
    pub steering: SteerRecords,
    /// Files that were passed over, and why.
    pub unusable: Vec<(StoreFile, Unusable)>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            buffer: Box::new([0; MAX_FILE]),
            sequence: 0,
            saved: WanRecords::new(),
            steering: SteerRecords::new(),
            steering_is_new: false,
        }
    }
}

impl Store {
    /// The newest valid state, if there is any.
    pub fn load_state(&mut self, board: &mut impl Board) -> Restored {
        let mut restored = Restored::default();
        let mut newest: Option<StateRecord> = None;
        for file in [StoreFile::StateA, StoreFile::StateB] {
            match self.load::<StateRecord>(board, file) {
                Ok(Some(record)) if record.version > VERSION => restored.unusable.push((file, Unusable::Later)),
                Ok(Some(record)) => {
                    if newest.as_ref().is_none_or(|n| n.sequence < record.sequence) {
                        newest = Some(record);
                    }
                }
                Ok(None) => {}
                Err(why) => restored.unusable.push((file, why)),
            }
        }
        if let Some(record) = newest {
            self.sequence = record.sequence;
            restored.router = record.router;
            self.saved.clone_from(&record.wans);
            self.steering.clone_from(&record.steering);
            restored.steering = record.steering;
            restored.wans = record.wans.into_iter().filter_map(WanRecord::learnt).collect();
        }
        restored
    }

    /// What steering remembers, for the next state that is saved.
    pub fn set_steering(&mut self, records: SteerRecords) {
        self.steering = records;
        self.steering_is_new = true;
    }

    /// Writes the state into the slot that holds the older one, if it differs from the newest
    /// file or is to be `durable`; returns whether it was written.
    ///
    /// # Errors
    /// [`StoreError`]; the older state is then still there.
    pub fn save_state<'a>(
        &mut self,
        board: &mut impl Board,
        router: SocketAddr,
        wans: impl Iterator<Item = (&'a str, Learnt)>,
        durable: bool,
    ) -> Result<bool, StoreError> {
        let wans: WanRecords = wans.take(wanctl_hal::MAX_WANS).map(WanRecord::new).collect();
        let is_old = wans.len() == self.saved.len() && wans.iter().zip(&self.saved).all(|(a, b)| a.is_like(b));
        if !durable && is_old && !self.steering_is_new {
            return Ok(false);
        }
        let (sequence, steering) = (self.sequence.saturating_add(1), self.steering.clone());
        let record = StateRecord { version: VERSION, sequence, router: Some(router), wans, steering };
        let file = if record.sequence.is_multiple_of(2) { StoreFile::StateB } else { StoreFile::StateA };
        self.save(board, file, &record, durable)?;
        self.sequence = record.sequence;
        self.saved = record.wans;
        self.steering_is_new = false;
        Ok(true)
    }

    /// The journalled originals: menu, name, limit. `None` when there are none.
    ///
    /// # Errors
    /// [`Unusable`]: the file is there and can't be understood. Then the operator's originals are
    /// lost, and a person has to say what they were (`wanctl adopt`).
    pub fn load_originals(&mut self, board: &mut impl Board) -> Result<Option<Vec<KnownOriginal>>, Unusable> {
        let Some(record) = self.load::<OriginalsRecord>(board, StoreFile::Originals)? else { return Ok(None) };
        if record.version > VERSION {
            return Err(Unusable::Later);
        }
        let known = record.queues.into_iter().map(|q| {
            let menu = if q.menu == "simple" { Menu::Simple } else { Menu::Tree };
            (menu, q.name, q.max_limit)
        });
        Ok(Some(known.collect()))
    }

    /// Journals the originals; they are on the medium when this returns.
    ///
    /// # Errors
    /// [`StoreError`]; nothing may then be written to the router.
    pub fn save_originals<'a>(
        &mut self,
        board: &mut impl Board,
        originals: impl Iterator<Item = (Menu, &'a str, &'a Verbatim)>,
    ) -> Result<(), StoreError> {
        let queues = originals.map(|(menu, name, max_limit)| OriginalRecord {
            menu: text(if menu == Menu::Simple { "simple" } else { "tree" }),
            name: text(name),
            max_limit: max_limit.clone(),
        });
        let record = OriginalsRecord { version: VERSION, queues: queues.take(2 * wanctl_hal::MAX_WANS).collect() };
        self.save(board, StoreFile::Originals, &record, true)
    }

    fn load<T: for<'de> Deserialize<'de>>(
        &mut self,
        board: &mut impl Board,
        file: StoreFile,
    ) -> Result<Option<T>, Unusable> {
        let length = match board.load(file, &mut self.buffer[..]) {
            Ok(length) => length.min(MAX_FILE),
            Err(StoreError::NotFound) => return Ok(None),
            Err(StoreError::Os(errno)) => return Err(Unusable::Os(errno)),
        };
        let content = &self.buffer[..length];
        let end = content.iter().position(|&b| b == b'\n').ok_or(Unusable::Damaged)?;
        let (json, sum) = content.split_at(end);
        let sum = core::str::from_utf8(sum).ok().and_then(|s| u32::from_str_radix(s.trim(), 16).ok());
        if sum != Some(crc32(json)) {
            return Err(Unusable::Damaged);
        }
        // The version is read first: a later one may have another shape.
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        match serde_json::from_slice::<Versioned>(json) {
            Ok(v) if v.version > VERSION => return Err(Unusable::Later),
            Ok(_) => {}
            Err(_) => return Err(Unusable::Damaged),
        }
        serde_json::from_slice(json).map(Some).map_err(|_| Unusable::Damaged)
    }

    fn save(
        &mut self,
        board: &mut impl Board,
        file: StoreFile,
        record: &impl Serialize,
        durable: bool,
    ) -> Result<(), StoreError> {
        const EFBIG: i32 = 27;
        let mut space = &mut self.buffer[..];
        serde_json::to_writer(&mut space, record).map_err(|_| StoreError::Os(EFBIG))?;
        let length = MAX_FILE - space.len();
        let sum = crc32(&self.buffer[..length]);
        let mut space = &mut self.buffer[length..];
        writeln!(space, "\n{sum:08x}").map_err(|_| StoreError::Os(EFBIG))?;
        let length = MAX_FILE - space.len();
        board.store(file, &self.buffer[..length], durable)
    }
}

impl WanRecord {
    fn new((name, learnt): (&str, Learnt)) -> Self {
        Self {
            name: text(name),
            baseline_ms: learnt.baseline.get(),
            download_bps: learnt.rates[0].bps(),
            upload_bps: learnt.rates[1].bps(),
        }
    }

    /// Whether the difference is not worth a write: medium wear counts more than a baseline's
    /// hundredth.
    fn is_like(&self, other: &Self) -> bool {
        self.name == other.name
            && [self.download_bps, self.upload_bps] == [other.download_bps, other.upload_bps]
            && (self.baseline_ms - other.baseline_ms).abs() <= 0.01 * other.baseline_ms
    }

    fn learnt(self) -> Option<(Text<64>, Learnt)> {
        let rates = [self.download_bps, self.upload_bps].map(Bitrate::from_bps);
        Some((self.name, Learnt { baseline: Millis::new(self.baseline_ms)?, rates }))
    }
}

/// Text from a configuration that has bounded it already; what does not fit is left out whole.
fn text<const N: usize>(s: &str) -> Text<N> {
    Text::try_from(s).unwrap_or_default()
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use super::*;
    use wanctl_hal::sim::{RouterDouble, RouterSetup, SimBoard, World};

    /// The fullest file there can be: eight WANs and eight pairs with the longest names and numbers.
    #[test]
    fn everything_fits_into_a_file() {
        let mut board = SimBoard::new(World::new(RouterDouble::new(RouterSetup::default()), Vec::new()).share());
        let name = "n".repeat(64);
        let baseline = Millis::new(1.0 / 3.0).unwrap();
        let learnt = Learnt { baseline, rates: [Bitrate::from_mbps(400_000); 2] };
        let time = Some(4_000_000_000);
        let pair = SteerRecord {
            name: text(&name[..32]),
            at: Some(text(&name)),
            turned: time,
            returned: time,
            relapses: 9,
            until: time,
            level: 99,
            ago: [86_400; 8].into_iter().collect(),
            now: 4_000_000_000,
        };
        let mut store = Store::default();
        store.set_steering((0..8).map(|_| pair.clone()).collect());
        let router = "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap();
        let wans = (0..8).map(|_| (name.as_str(), learnt));
        assert_eq!(store.save_state(&mut board, router, wans, true), Ok(true));
        let restored = Store::default().load_state(&mut board);
        assert_eq!((restored.wans.len(), restored.steering.len()), (8, 8));
        assert_eq!(restored.steering[7], pair);
    }
}
