//! How fast and how small callbridge is, measured from outside: `benches/run [PART…]`.
//!
//! What is measured runs in processes of its own: the release binary, and the stand-ins, which this binary plays itself when
//! it is started with `--play`. The load comes from this process. Everything that is compared runs interleaved, so that a
//! slow moment of the machine hits all of it; tables hold medians.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::type_complexity, reason = "a test or a measurement ends where it cannot go on")]

mod backlog;
mod bridge;
mod client;
mod dnc;
mod full_loop;
mod hostile;
mod intake;
mod lines;
mod machine;
mod memory;
mod phones;
mod placing;
mod play;
mod plugin;
mod seed;
mod start;
mod table;
mod webhook;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// The program's own: what is measured in this process is to cost what it costs there.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Intake,
    Loop,
    Memory,
    Start,
    Placing,
    Backlog,
    Plugin,
    Hostile,
    Dnc,
    Lines,
}

/// What to measure and how long.
#[derive(Debug, Clone, Parser)]
#[command(name = "benches/run")]
pub struct Args {
    /// Which parts; all if none is named.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Rounds of everything that is compared.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of one measurement of the intake.
    #[arg(long, default_value_t = 4.0)]
    secs: f64,
    /// Seconds of the full loop.
    #[arg(long, default_value_t = 60.0)]
    loop_secs: f64,
    /// Webhooks a second into the full loop; 0: as many as come out of it.
    #[arg(long, default_value_t = 0)]
    loop_rate: u64,
    /// Lines of the full loop, ten to a connection.
    #[arg(long, default_value_t = 4_000)]
    lines: usize,
    /// Full loop and backlog with the whole simulator as dialer, not with phones that do as little as they can.
    #[arg(long)]
    simulator: bool,
    /// Queued calls of the memory, start and backlog parts.
    #[arg(long, default_value_t = 100_000)]
    queued: usize,
    /// Finished calls of the start part.
    #[arg(long, default_value_t = 1_000_000)]
    finished: usize,
    /// The largest number of calls and lines of the placing part.
    #[arg(long, default_value_t = 100_000)]
    placing: usize,
    /// The most lines of the lines part, with 100 queued calls each.
    #[arg(long, default_value_t = 10_000)]
    many_lines: usize,
    /// Rows of the do-not-call file.
    #[arg(long, default_value_t = 1_000_000)]
    numbers: usize,
    /// Where stores and logs go; by default a directory that is deleted at the end.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Given by `cargo bench`; without it nothing is measured, so that `cargo test --benches` stays quick.
    #[arg(long, hide = true)]
    bench: bool,
    /// Play a stand-in instead of measuring.
    #[arg(long, hide = true, value_enum)]
    play: Option<play::Role>,
    /// How many of what the stand-in makes or takes.
    #[arg(long, hide = true, default_value_t = 0)]
    count: usize,
}

impl Args {
    fn wants(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }

    fn measure(&self) -> Duration {
        Duration::from_secs_f64(self.secs)
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(role) = args.play {
        return play::run(role, &args);
    }
    if !args.bench {
        println!("nothing measured: run benches/run");
        return Ok(());
    }
    let scratch = tempfile::Builder::new().prefix("callbridge-bench-").tempdir()?;
    let dir = args.dir.clone().unwrap_or_else(|| scratch.path().to_owned());
    std::fs::create_dir_all(&dir)?;
    println!("{}", machine::heading());
    runtime.block_on(async {
        if args.wants(Part::Intake) {
            intake::run(&args, &dir.join("intake")).await?;
        }
        if args.wants(Part::Loop) {
            full_loop::run(&args, &dir.join("loop")).await?;
        }
        if args.wants(Part::Memory) || args.wants(Part::Start) {
            memory::run(&args, &dir.join("memory")).await?;
        }
        if args.wants(Part::Start) {
            start::run(&args, &dir.join("start"), &dir.join("memory")).await?;
        }
        if args.wants(Part::Placing) {
            placing::run(&args, &dir.join("placing")).await?;
        }
        if args.wants(Part::Backlog) {
            backlog::run(&args, &dir.join("backlog")).await?;
        }
        if args.wants(Part::Plugin) {
            plugin::run(&args)?;
        }
        if args.wants(Part::Hostile) {
            hostile::run(&args, &dir.join("hostile")).await?;
        }
        if args.wants(Part::Dnc) {
            dnc::run(&args, &dir.join("dnc"))?;
        }
        if args.wants(Part::Lines) {
            lines::run(&args, &dir.join("lines")).await?;
        }
        anyhow::Ok(())
    })
}
