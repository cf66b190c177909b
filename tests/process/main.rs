//! The program as it is shipped: a process, signals, files, exit codes, real ICMP on loopback and
//! a router double over real TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod alerts;
mod calibrate;
#[path = "../common/crowd.rs"]
mod crowd;
mod exit;
mod house;
mod kills;
mod logs;
mod look;
#[allow(dead_code, reason = "shared with the tests on a real line")]
#[path = "../real_line/netns.rs"]
mod netns;
mod record;
mod reload;
#[path = "../common/report.rs"]
mod report;
mod rights;
mod service;
mod start;
mod state;
mod storm;
