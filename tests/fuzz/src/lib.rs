//! What the fuzzer runs, and what `cargo test --test fuzz_corpus` runs over the kept inputs: each
//! target is a plain function that takes any bytes and panics when a promise is broken.
//!
//! | target | bytes become | what must hold |
//! |---|---|---|
//! | [`router_input`] | a talk with a router: answers, pieces, pauses, closings | one outcome a request, only rows asked for, free again in bounded time |
//! | [`http`] | a response | any pieces give the same; the body is a part of the input |
//! | [`json`] | a body | any pieces give the same objects; every row came whole |
//! | [`request`] | a request to the endpoint | more bytes change nothing, no page without the token |
//! | [`webhook`] | an answer to an alert | a delivery ends; cuts change nothing |
//! | [`icmp`] | datagrams, and a probe of ours | what goes out comes back; damage is not ours |
//! | [`measure`] | replies, losses, steps of the clock | delays possible; no forged reply counts |
//! | [`config`] | a configuration file, a scenario | settings, or faults with lines in the file |
//! | [`recording`] | a recording of a run | reading ends, in bounded memory |
//! | [`state`] | the files that survive a restart | usable or passed over; what is saved is read again |
//! | [`actuate`] | wishes, and a router that does as it likes | limits in range, originals byte for byte |
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "a panic is the finding")]

pub mod actuate;
pub mod config;
pub mod http;
pub mod icmp;
mod input;
pub mod json;
pub mod measure;
pub mod recording;
pub mod request;
pub mod router_input;
pub mod state;
pub mod webhook;

/// A target's name, and what it does with any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 11] = [
    ("actuate", actuate::run),
    ("config", config::run),
    ("http", http::run),
    ("icmp", icmp::run),
    ("json", json::run),
    ("measure", measure::run),
    ("recording", recording::run),
    ("request", request::run),
    ("router_input", router_input::run),
    ("state", state::run),
    ("webhook", webhook::run),
];
