//! Tells the program which target it was built for; Cargo itself tells only build scripts.

fn main() {
    println!("cargo::rerun-if-changed=cross/build.rs");
    println!("cargo::rustc-env=WANCTL_TARGET={}", std::env::var("TARGET").unwrap_or_default());
}
