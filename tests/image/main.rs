//! What is shipped, as it is shipped (`make image-test`): the files of `dist/`, read by the tools of others; the image started
//! by a container runtime with one capability and a read-only root; programs for other processors under an emulator. Each of
//! them controls a real queue behind a router double over TLS.
//!
//! `DIST` names the directory, `TARGETS` some of the targets. The runs need root, iproute2, runc, skopeo, umoci and
//! qemu-user; what is missing makes them fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[allow(dead_code, reason = "shared with the tests on a real line")]
#[path = "../real_line/controller.rs"]
mod controller;
#[path = "../real_line/delay.rs"]
mod delay;
mod dist;
mod files;
#[allow(dead_code, reason = "shared with the tests on a real line")]
#[path = "../real_line/line.rs"]
mod line;
#[allow(dead_code, reason = "shared with the tests on a real line")]
#[path = "../real_line/netns.rs"]
mod netns;
mod run;
#[allow(dead_code, reason = "shared with the tests on a real line")]
#[path = "../real_line/traffic.rs"]
mod traffic;
