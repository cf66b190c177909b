//! From a configuration to a loop: everything it holds is made, and sized, here.

use super::schedule::Schedule;
use super::serve::Endpoint;
use super::steer::Steering;
use super::watch::Watch;
use super::{Counters, Daemon, LINK_BYTES, Reloader, SAVE_EVERY, Store, Wan};
use crate::actuate::{Actuator, QueueSpec, SwitchSpec, SwitchWay};
use crate::config::{Config, Means, Prefix, QueueRef, WanConfig};
use crate::decide::Law;
use crate::measure::Measure;
use crate::observe::{EventRing, Flood};
use crate::routeros::{self, Client};
use crate::types::{Duration, Instant, Text, WanId};
use core::fmt;
use core::net::SocketAddr;
use wanctl_hal::{Board, OpenError};

/// What a daemon is made of.
pub struct Setup<B: Board> {
    /// The machine.
    pub board: B,
    /// What to do.
    pub config: Config,
    /// Where the router is.
    pub router: SocketAddr,
    /// How to get a new configuration.
    pub reloader: Reloader,
    /// What an earlier run has left, already read.
    pub store: Store,
    /// Its content.
    pub restored: super::Restored,
}

/// Why the loop can't start.
#[derive(Debug)]
pub enum Problem {
    /// A WAN can't be measured.
    Open(String, OpenError),
    /// The journal of the operator's original limits can't be understood.
    Journal(super::Unusable),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(wan, error) => write!(f, "wan \"{wan}\": {error}"),
            Self::Journal(why) => write!(
                f,
                "the journal of your original limits (file \"originals\" in the state directory) is {why}. Set the \
                 limits on the router to what they shall be without wanctl, then run `wanctl adopt`"
            ),
        }
    }
}

impl<B: Board> Daemon<B> {
    /// Makes the loop: opens the sockets, takes over what earlier runs have learnt.
    ///
    /// # Errors
    /// [`Problem`].
    pub fn new(setup: Setup<B>) -> Result<Self, Problem> {
        let Setup { mut board, config, router, reloader, mut store, restored } = setup;
        let clock = board.clock();
        let now = clock.now;
        let mut wans = Vec::with_capacity(config.wans.len());
        for (id, wan) in ids(&config) {
            board.open_wan(id, &wan.source).map_err(|e| Problem::Open(wan.name.to_string(), e))?;
            let mut law = Law::new(wan.law.clone());
            if let Some((_, learnt)) = restored.wans.iter().find(|(name, _)| *name == wan.name) {
                law.restore(*learnt);
            }
            let measure = Measure::new(wan.measure.clone(), board.entropy(), now);
            wans.push(Wan::new(id, wan.name.to_string(), measure, law, now));
        }
        super::steer::trace(&mut wans, &config, now);
        let mut actuator = actuator(&config);
        for (menu, name, original) in store.load_originals(&mut board).map_err(Problem::Journal)?.unwrap_or_default() {
            actuator.restore_original(menu, &name, &original);
        }
        super::alert::complain(&config);
        let alerts = super::alert::alerts(&mut board, &config, 0);
        Ok(Self {
            client: client(&config, board.entropy()),
            names: wans.iter().map(|w| w.name.clone()).collect(),
            actuator,
            steering: Steering::new(&config, clock, &restored.steering),
            wans,
            router,
            schedule: Schedule::new(config.cycle, now),
            store,
            reloader,
            events: EventRing::default(),
            flood: Flood::default(),
            counters: Counters::default(),
            link_buffer: Box::new([0; LINK_BYTES]),
            reach: super::link::Reach::default(),
            watch: Watch::new(&config, now),
            endpoint: Endpoint::new(&config),
            alerts,
            handshake_at: None,
            // The first wake-up follows at once, and connects.
            left: super::Left { link: true, ..super::Left::default() },
            heavy: None,
            logged: 0,
            saved_at: now,
            save_every: SAVE_EVERY,
            journal_at: Instant::ZERO,
            // The first summary comes early: it tells that everything works.
            summary_at: now - Duration::from_secs(50),
            board,
            config,
        })
    }
}

/// The WANs of a configuration with their places.
pub fn ids(config: &Config) -> impl Iterator<Item = (WanId, &WanConfig)> {
    config.wans.iter().enumerate().filter_map(|(i, wan)| Some((WanId::new(i)?, wan)))
}

/// The queues of a configuration, each once.
pub(crate) fn actuator(config: &Config) -> Actuator {
    let mut specs: Vec<QueueSpec> = Vec::new();
    for (id, wan) in ids(config) {
        for (place, QueueRef { menu, name }) in wan.queues.iter().enumerate() {
            let known = specs.iter().position(|s| s.menu == *menu && s.name == *name);
            let known = known.unwrap_or_else(|| {
                specs.push(QueueSpec { menu: *menu, name: name.clone(), serves: [None; 2], safe: [None; 2] });
                specs.len() - 1
            });
            specs[known].serves[place] = Some(id);
            specs[known].safe[place] = Some(wan.safe_rates[place]);
        }
    }
    let interfaces = config.wans.iter().map(|w| w.router_interface.clone()).collect();
    Actuator::new(config.actuate.clone(), specs, interfaces).with_switches(switches(config))
}

/// The switches of steering, in the order of the file: that of their numbers.
fn switches(config: &Config) -> Vec<SwitchSpec> {
    let pairs = config.steering.iter();
    pairs
        .flat_map(|pair| {
            pair.settings.alternates.iter().zip(&pair.means).map(|(alternate, means)| SwitchSpec {
                wan: alternate.wan,
                way: way(means),
                respect: pair.respect_hand,
            })
        })
        .collect()
}

fn way(means: &Means) -> SwitchWay {
    match means {
        Means::Rule { comment, comment6 } => SwitchWay::Rule { comment: comment.clone(), comment6: comment6.clone() },
        Means::Lease { lists, prefixes } => {
            // A single host is printed without its length.
            let printed = |prefix: &Prefix| match (prefix.address, prefix.length) {
                (address, 32) if address.is_ipv4() => address.to_string(),
                _ => prefix.to_string(),
            };
            let prefixes = prefixes
                .iter()
                .filter_map(|prefix| Some((prefix.address.is_ipv6(), Text::try_from(printed(prefix).as_str()).ok()?)));
            SwitchWay::Lease { lists: lists.clone(), prefixes: prefixes.collect() }
        }
    }
}

/// The client of the configured router.
pub(crate) fn client(config: &Config, seed: u64) -> Client {
    let router = &config.router;
    let settings = routeros::Settings {
        host: router.url.host_header(),
        credentials: format!("{}:{}", router.user, router.password.reveal()),
        connect_timeout: router.connect_timeout,
        response_timeout: router.response_timeout,
    };
    Client::new(settings, seed)
}
