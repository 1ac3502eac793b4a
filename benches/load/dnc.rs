//! A do-not-call file of a million rows with junk in it, through the command.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::table::{print, verdict, whole};
use super::{Args, machine};

const SETTINGS: &str = "[store]\npath = \"data\"\n[store.snapshot]\nevery = \"0s\"\n";

/// Numbers that lie all over the plan, as in a real list; every tenth row is junk.
fn write(path: &Path, rows: usize) -> anyhow::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    let mut seed = 1u64;
    writeln!(file, "name;Số điện thoại;note")?;
    for n in 0..rows {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let digits = 10_000_000 + (seed >> 33) % 90_000_000;
        let mut number = String::new();
        match n % 10 {
            9 => write!(number, "{}", ["", "19001234", "+12025550123", "call me"][n / 10 % 4])?,
            shape => write!(number, "{}{digits}", ["09", "+84 9", "03"][shape % 3])?,
        }
        writeln!(file, "Khách {n};{number};asked by mail")?;
    }
    file.flush()?;
    Ok(())
}

/// Seconds, processor seconds and the most memory of one import.
fn import(dir: &Path, file: &str) -> anyhow::Result<(f64, f64, f64)> {
    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_callbridge"))
        .args(["--config", "c.toml", "--json", "dnc", "import", file, "--why", "a list", "--bad-rows", "bad.tsv"])
        .current_dir(dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let (mut cpu, mut peak) = (0.0f64, 0.0f64);
    loop {
        // Of a process that has just ended nothing is told: the highest seen counts.
        cpu = cpu.max(machine::cpu_secs(child.id()));
        peak = peak.max(machine::peak_mib(child.id()));
        if let Some(status) = child.try_wait()? {
            anyhow::ensure!(status.success(), "the import ended with {status}");
            return Ok((begun.elapsed().as_secs_f64(), cpu, peak));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Measures and prints.
pub fn run(args: &Args, dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir.join("data"))?;
    // A store that nobody has made yet is not opened by the command.
    std::fs::write(dir.join("data/.here"), "")?;
    std::fs::write(dir.join("c.toml"), SETTINGS)?;
    std::fs::write(dir.join("one.csv"), "0900000000\n")?;
    write(&dir.join("big.csv"), args.numbers)?;
    let (_, _, small) = import(dir, "one.csv")?;
    let (secs, cpu, peak) = import(dir, "big.csv")?;
    let more = peak - small;
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let rows = whole(args.numbers as f64);
    let row = vec![
        rows,
        format!("{secs:.1} (< 10: {})", verdict(secs < 10.0)),
        format!("{cpu:.1}"),
        format!("{peak:.0}, {more:.0} more than for one row (< 100: {})", verdict(more < 100.0)),
    ];
    print("Do-not-call import", &["rows, a tenth junk", "s", "processor s", "MiB at most"], &[row], &[]);
    Ok(())
}
