//! The one binary; see the library for everything else.

use std::process::ExitCode;

fn main() -> ExitCode {
    wanctl::cli::main(std::env::args_os()).into()
}
