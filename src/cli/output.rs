//! What commands print: data on stdout, talk on stderr, and the exit code.

use std::process::ExitCode;

/// A command's end: 0 done, 1 failed, 2 wrong use (clap), and what a command documents.
pub fn exit(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("callbridge: {error:#}");
            ExitCode::FAILURE
        }
    }
}
