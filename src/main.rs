//! The `callbridge` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    callbridge::cli::main()
}
