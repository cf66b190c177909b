//! What is shown, as a table: one row a scene.

use crate::types::Duration;

/// One scene.
#[derive(Debug)]
pub(super) struct Scene {
    /// What it is called.
    pub(super) title: &'static str,
    /// What one sees and why it matters: two lines of at most 78 columns.
    pub(super) story: [&'static str; 2],
    /// How long it lasts, in seconds.
    pub(super) seconds: u64,
    /// Whether wanctl runs. Once it does, it stays.
    pub(super) controlled: bool,
    /// How many long transfers run: download, upload.
    pub(super) transfers: [usize; 2],
    /// What the line carries, in per cent of [`super::stage::CARRIES`].
    pub(super) capacity_percent: u64,
    /// How the summary calls it: what runs, and in which circumstances. `None`: it is not judged.
    pub(super) row: Option<[&'static str; 2]>,
}

/// At the beginning of a scene queues of the last one drain and transfers get up to speed. The
/// summary judges what comes after, with wanctl and without.
pub(super) const SETTLING: Duration = Duration::from_secs(4);

const UPLOAD: [usize; 2] = [0, 3];
const DOWNLOAD: [usize; 2] = [6, 0];

/// The show.
pub(super) const SCENES: [Scene; 7] = [
    Scene {
        title: "A home at rest",
        story: [
            "A cable line: 100/20 Mbit/s in the contract, 75/15 in truth. The router's CAKE",
            "queues are set to the contract. A ping takes 18 ms. wanctl does not run yet.",
        ],
        seconds: 4,
        controlled: false,
        transfers: [0, 0],
        capacity_percent: 100,
        row: None,
    },
    Scene {
        title: "Photos go up to the cloud, without wanctl",
        story: [
            "The upload sends more than the line carries, and the rest queues in the modem.",
            "Whatever else leaves the house waits behind it: each word of a call, a click.",
        ],
        seconds: 10,
        controlled: false,
        transfers: UPLOAD,
        capacity_percent: 100,
        row: Some(["upload", "without wanctl"]),
    },
    Scene {
        title: "A speed test (download), without wanctl",
        story: [
            "The same the other way: the queue stands at the provider. The test shows a",
            "fine figure, and everybody else in the house says that the internet is slow.",
        ],
        seconds: 12,
        controlled: false,
        transfers: DOWNLOAD,
        capacity_percent: 100,
        row: Some(["download", "without wanctl"]),
    },
    Scene {
        title: "wanctl takes over, the speed test goes on",
        story: [
            "It measures the delay every 50 ms and lowers the router's limit to what the",
            "line carries. The queue moves into the router's CAKE: a call passes it by.",
        ],
        seconds: 15,
        controlled: true,
        transfers: DOWNLOAD,
        capacity_percent: 100,
        row: Some(["download", "with wanctl"]),
    },
    Scene {
        title: "Evening: the neighbours are home, the line drops to 40 %",
        story: [
            "Of 75 Mbit/s 30 are left. A limit set once and for all would be wrong now,",
            "and the delay back. wanctl notices and follows.",
        ],
        seconds: 14,
        controlled: true,
        transfers: DOWNLOAD,
        capacity_percent: 40,
        row: Some(["download", "with wanctl, line at 40 %"]),
    },
    Scene {
        title: "The photos again, this time with wanctl",
        story: [
            "The line is whole again. Compare with scene 2: the same upload, the same line.",
            "Now and then wanctl tries a little more, and takes it back when delay rises.",
        ],
        seconds: 12,
        controlled: true,
        transfers: UPLOAD,
        capacity_percent: 100,
        row: Some(["upload", "with wanctl"]),
    },
    Scene {
        title: "Everything at once: the hardest case",
        story: [
            "Download and upload together: one delay, two suspects. The router's counters",
            "tell which of them makes it, and each comes to what its direction carries.",
        ],
        seconds: 12,
        controlled: true,
        transfers: [DOWNLOAD[0], UPLOAD[1]],
        capacity_percent: 100,
        row: Some(["both at once", "with wanctl"]),
    },
];

/// How long the show lasts, without the good-bye.
pub(super) fn length() -> Duration {
    Duration::from_secs(SCENES.iter().map(|scene| scene.seconds).sum())
}

/// When a scene begins, counted from the beginning of the show.
pub(super) fn begin(scene: usize) -> Duration {
    Duration::from_secs(SCENES.iter().take(scene).map(|scene| scene.seconds).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_keeps_its_promises() {
        assert!(length() <= Duration::from_secs(95));
        assert!(SCENES.is_sorted_by_key(|scene| scene.controlled), "wanctl stays once it runs");
        for scene in &SCENES {
            assert!(scene.row.is_none() || Duration::from_secs(scene.seconds) >= SETTLING * 2, "{}", scene.title);
            for line in scene.story.iter().chain([&scene.title]) {
                assert!(line.chars().count() <= 78, "{line}");
            }
        }
    }
}
