//! The board in virtual time, and the world behind it: a RouterOS double, lines with a fluid
//! model of their queues, reflectors, files.
//!
//! Everything is a function of its inputs and a seed: no threads, no system time, no iteration
//! in the order of a hash, and only + − × ÷, square root and `libm`. (`tls_server` and `live`
//! are the exception: they show a world in real time.)

mod board;
pub(crate) mod certificate;
mod commands;
mod fault;
mod fifo;
mod flow;
mod hook;
mod http;
mod line;
mod live;
mod medium;
mod menus;
mod objects;
mod operator;
mod pages;
mod reflector;
mod rest;
mod rng;
mod router;
mod schema;
mod serve;
mod setup;
mod shaper;
mod site;
mod store;
mod switches;
mod tls_server;
mod visitors;
mod wan;
mod world;

pub use board::SimBoard;
pub use certificate::{Key, TlsSetup};
pub use fault::{Cut, Fault, Latency};
pub use hook::{HookMood, HookRequest, Hooks};
pub use line::{Entry, LegSetup, Line, LineSetup, Totals};
pub use live::LiveBoard;
pub use medium::Medium;
pub use objects::Traffic;
pub use reflector::{Answer, Connect, Reflector, Target};
pub use rng::Rng;
pub use router::{Output, Refusal, RouterDouble, SessionId, Write};
pub use setup::{Half, QueueMenu, QueueSetup, RouterSetup, ShaperRef};
pub use store::Store;
pub use tls_server::{LiveClock, OnWrite, RouterServer, ServerSetup};
pub use visitors::Visitors;
pub use wan::Wan;
pub use world::{Action, SharedWorld, World, lock};
