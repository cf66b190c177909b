//! The router link against everything that goes wrong with routers: one row per fault, in virtual
//! time and over real TLS, and random schedules of faults.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/meter.rs"]
mod meter;

mod real;
mod schedules;
mod table;

#[global_allocator]
static ALLOCATOR: meter::CountingAllocator = meter::CountingAllocator;
