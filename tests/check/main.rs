//! `wanctl check` and `wanctl trust`: the real program against a RouterOS double on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod console;
mod house;
mod init;
mod lines;
mod mend;
mod page;
mod script;
mod scripts;
mod trust;
