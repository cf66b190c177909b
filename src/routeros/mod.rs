//! Requests into bytes, and bytes into observations: the client of one RouterOS router.
//!
//! Sans-I/O: it knows no socket and no clock. The daemon moves bytes between it and the board:
//!
//! ```text
//! actuate --Intent--> Client --Step--> daemon --bytes--> board --> router
//! actuate <---Item--- Client <-bytes-- daemon <-bytes--- board <-- router
//! ```
//!
//! Contract: after every input ([`Client::start`], [`Client::opened`], [`Client::input`],
//! [`Client::down`], [`Client::tick`]) call [`Client::poll`] until it returns [`Step::Nothing`];
//! then nothing happens before [`Client::deadline`].
//!
//! One connection, one request in flight. It is *not* responsible for what to ask next: that is
//! actuate's.

mod client;
pub mod http;
pub mod json;

pub use client::{Client, Settings, Step};
