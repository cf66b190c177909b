//! Where the show takes place: a simulated line behind a simulated router, the configuration that
//! wanctl gets, and a directory for its files.

use crate::config::{self, Config};
use crate::types::{Bitrate, Direction, Duration, Instant};
use core::net::{IpAddr, Ipv4Addr};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use wanctl_hal::sim::{Action, LegSetup, LineSetup, QueueSetup, RouterDouble, RouterSetup, Wan, World};

use super::scenes::Scene;

/// Rates of the contract, download and upload: what the operator has set on the router.
pub(super) const CONTRACT: [Bitrate; 2] = [Bitrate::from_mbps(100), Bitrate::from_mbps(20)];

/// What the line carries on a good day.
pub(super) const CARRIES: [Bitrate; 2] = [Bitrate::from_mbps(75), Bitrate::from_mbps(15)];

/// Round-trip time of the idle line.
pub(super) const BASE_RTT: Duration = Duration::from_millis(18);

/// How much the queue of the provider (download) and that of the modem (upload) hold.
const QUEUES: [Duration; 2] = [Duration::from_millis(600), Duration::from_millis(500)];

/// The router's queues, download and upload.
pub(super) const QUEUE_NAMES: [&str; 2] = ["home-dl", "home-ul"];

/// Addresses meant for documentation: should a probe ever leave the simulation, it ends nowhere.
const REFLECTORS: [Ipv4Addr; 3] =
    [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(203, 0, 113, 1)];

const USER: &str = "wanctl";
const PASSWORD: &str = "demo";

/// The world of the show.
pub(super) fn world() -> World {
    let router = RouterSetup {
        user: USER.to_owned(),
        password: PASSWORD.to_owned(),
        queues: vec![
            QueueSetup::tree(QUEUE_NAMES[0], "bridge", CONTRACT[0].bps()),
            QueueSetup::tree(QUEUE_NAMES[1], "ether1", CONTRACT[1].bps()),
        ],
        ..RouterSetup::default()
    };
    let line = LineSetup {
        base_rtt: BASE_RTT,
        legs: [LegSetup::new(CARRIES[0], QUEUES[0]), LegSetup::new(CARRIES[1], QUEUES[1])],
        ..LineSetup::new(CARRIES[0], CARRIES[1])
    };
    let wan = Wan::new("home", "ether1", &line).with_reflectors(&REFLECTORS.map(IpAddr::V4));
    World::new(RouterDouble::new(router), vec![wan])
}

/// Sets the scene.
pub(super) fn set(world: &mut World, now: Instant, scene: &Scene) {
    for direction in Direction::BOTH {
        let i = direction.index();
        let capacity = Bitrate::from_bps(CARRIES[i].bps() / 100 * scene.capacity_percent);
        world.at(now, Action::Capacity(0, direction, capacity));
        world.at(now, Action::Flows(0, direction, scene.transfers[i]));
    }
}

/// The configuration wanctl gets, as an operator would write it. Ceilings are those of the
/// contract, a third above what the line carries: no constant rate could pass the show.
fn text(url: &str, trust: &str) -> String {
    let reflectors = REFLECTORS.map(|ip| format!("\"{ip}\"")).join(", ");
    let [download, upload] = QUEUE_NAMES;
    let [down, up] = CONTRACT;
    format!(
        r#"[router]
url = "{url}"
user = "{USER}"
{trust}

[state]
directory = "state"

[[wan]]
name = "home"
link = "cable"
baseline = "{}ms"
reflectors = [{reflectors}]
[wan.download]
queue = "{download}"
ceiling = "{down}"
[wan.upload]
queue = "{upload}"
ceiling = "{up}"
"#,
        BASE_RTT.as_millis()
    )
}

/// The same, read by the ordinary reader; wanctl's files go below `directory`.
///
/// # Errors
/// All faults of the text, as `wanctl check` would tell them.
pub(super) fn config(url: &str, trust: &str, directory: &Path) -> Result<Config, String> {
    let env = |name: &str| (name == "WANCTL_ROUTER_PASSWORD").then(|| PASSWORD.to_owned());
    let text = text(url, trust);
    config::parse(&text, "demo.toml", directory, &env).map(|(config, _)| config).map_err(|faults| faults.to_string())
}

/// The line of the configuration that pins a certificate.
pub(super) fn pin(fingerprint: [u8; 32]) -> String {
    let hex: Vec<String> = fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("fingerprint = \"{}\"", hex.join(":"))
}

/// A directory of its own, gone with this value.
#[derive(Debug)]
pub(super) struct TemporaryDirectory(pub(super) PathBuf);

impl TemporaryDirectory {
    /// Makes one that did not exist before, so that nobody can have prepared it.
    ///
    /// # Errors
    /// When it can't be made.
    pub(super) fn new(now: Instant) -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("wanctl-demo-{}-{}", std::process::id(), now.as_nanos()));
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Self(path)),
            Err(error) => Err(format!("{}: {error}; set TMPDIR to a place where files can be made", path.display())),
        }
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} could not be removed: {error}", self.0.display());
        }
    }
}
