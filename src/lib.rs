//! wanctl keeps an internet line free of bufferbloat.
//!
//! Every cycle (50 ms by default) it *measures* round-trip time by ICMP through each WAN,
//! *decides* what rate the router's CAKE queues may have, and *actuates* that rate on RouterOS
//! over its REST API. One thread; nothing blocks but the wait for the next cycle.
//!
//! | module | turns | purity |
//! |---|---|---|
//! | [`measure`] | probes into one delay sample per WAN and cycle | pure |
//! | [`decide`] | the sample into congestion state and rates | pure |
//! | [`actuate`] | wanted and observed limits into the next router request | pure |
//! | [`routeros`] | requests into bytes and bytes into observations | sans-I/O |
//! | [`daemon`] | the loop: one screen that reads measure, decide, actuate | drives the board |
//! | [`observe`] | events into log lines | text at the edge |
//! | [`config`] | one TOML file into settings, or into all its faults at once | reads files |
//! | [`cli`] | the command line | everything |
//!
//! Arrows point one way: cli → daemon → {measure, decide, actuate, routeros, observe} → [`types`];
//! daemon → `wanctl_hal`. A test enforces them (`tests/architecture.rs`).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod actuate;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod decide;
pub mod measure;
pub mod observe;
pub mod routeros;
pub mod types;
