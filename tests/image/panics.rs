//! Built like a release, to see that such a program still says where it panicked.

fn main() {
    let nothing: Option<()> = std::env::var_os("WANCTL_NEVER_SET").map(drop);
    assert!(nothing.is_some(), "as it should");
}
