//! Steering through the whole daemon, in virtual time: two lines, the router, and what goes wrong
//! with them; the delay that a marked connection feels on the line it would take now. The table of
//! `docs/steering.md` is what this test makes (`WANCTL_BLESS=1` writes it).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_precision_loss, missing_docs)]

#[path = "../../common/mod.rs"]
mod common;

mod bounds;
mod cases;
mod house;
mod page;
