//! The `callbridge` program.

use std::process::ExitCode;

/// Many small texts are made for each call: with the system's allocator a fifth of the processor's time went into that.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    callbridge::cli::main()
}
