//! A do-not-call file of a million rows with junk in it, through the command: how long it takes and how much memory more than one row.
//!
//! `CALLBRIDGE_DNC_ROWS` changes how many. The limits asserted are five times what is aimed at: this runs beside other tests and
//! unoptimised.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const SETTINGS: &str = "[store]\npath = \"data\"\n[store.snapshot]\nevery = \"0s\"\n";

/// Numbers that lie all over the plan, as in a real list; every tenth row is junk.
fn write(path: &Path, rows: u64) -> (u64, u64) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let (mut good, mut bad, mut seed) = (0, 0, 1u64);
    writeln!(file, "name;Số điện thoại;note").unwrap();
    for n in 0..rows {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match n % 10 {
            9 => {
                bad += 1;
                match n / 10 % 6 {
                    0 => writeln!(file, "An;;no number").unwrap(),
                    1 => writeln!(file, "\"Bình; Lê\";19001234;service").unwrap(),
                    2 => writeln!(file, "Chi;+12025550123;foreign").unwrap(),
                    3 => file.write_all(b"\xff\xfe\x00junk\n").unwrap(),
                    4 => writeln!(file, "{}", "x".repeat(5000)).unwrap(),
                    _ => writeln!(file, "Dũng;call me;words").unwrap(),
                }
            }
            shape => {
                good += 1;
                let digits = 10_000_000 + (seed >> 33) % 90_000_000;
                let mut number = String::new();
                match shape % 3 {
                    0 => write!(number, "09{digits}").unwrap(),
                    1 => write!(number, "+84 9{digits}").unwrap(),
                    _ => write!(number, "\"03{digits}\"").unwrap(),
                }
                writeln!(file, "Khách {n};{number};asked by mail").unwrap();
            }
        }
    }
    file.flush().unwrap();
    (good, bad)
}

/// What an import took.
struct Took {
    answer: Value,
    wall: Duration,
    /// Of the processor: what else runs on the machine does not count.
    cpu_secs: f64,
    /// The highest memory.
    mib: u64,
}

/// The processor time of a process so far: fields 14 and 15 of its `stat`, in hundredths of a second.
fn cpu_secs(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some((fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?) / 100.0)
}

fn import(dir: &Path, file: &str) -> Took {
    let from = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_callbridge"))
        .args(["--config", "c.toml", "--json", "dnc", "import", file, "--why", "a list", "--bad-rows", "bad.tsv"])
        .current_dir(dir)
        .stdout(Stdio::from(std::fs::File::create(dir.join("out.json")).unwrap()))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let (mut highest, mut cpu) = (0, 0.0);
    let ended = loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let mib = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024;
        highest = highest.max(mib);
        cpu = cpu_secs(child.id()).filter(|now| *now > 0.0).unwrap_or(cpu);
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(ended.success(), "{ended}");
    let answer = serde_json::from_str(&std::fs::read_to_string(dir.join("out.json")).unwrap()).unwrap();
    Took { answer, wall: from.elapsed(), cpu_secs: cpu, mib: highest }
}

#[test]
fn a_do_not_call_file_of_a_million_rows_is_read_in_a_stream() {
    let rows = std::env::var("CALLBRIDGE_DNC_ROWS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("c.toml"), SETTINGS).unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    std::fs::write(dir.path().join("data/.here"), "").unwrap();
    std::fs::write(dir.path().join("one.csv"), "0900000000\n").unwrap();
    let small = import(dir.path(), "one.csv").mib;
    let (good, bad) = write(&dir.path().join("big.csv"), rows);
    let Took { answer, wall, cpu_secs, mib: large } = import(dir.path(), "big.csv");
    println!("{rows} rows in {:.1} s ({cpu_secs:.1} s of one core), {large} MiB at most, {small} MiB for one row", wall.as_secs_f64());
    assert_eq!((answer["rows"].as_u64(), answer["numbers"].as_u64(), answer["bad"].as_u64()), (Some(rows + 1), Some(good), Some(bad)));
    assert!(answer["added"].as_u64().unwrap() > good * 9 / 10, "{}", answer["added"]);
    assert!(answer["bad_rows"].as_array().unwrap().len() == 1000.min(usize::try_from(bad).unwrap()));
    let told = std::fs::read_to_string(dir.path().join("bad.tsv")).unwrap();
    assert!(told.starts_with("11\tmissing_phone\t"), "{}", &told[..80]);
    assert_eq!(told.lines().count() as u64, bad, "the report of bad rows is whole");
    assert!(cpu_secs < 50.0, "{cpu_secs} s");
    assert!(large.saturating_sub(small) < 500, "{large} MiB, {small} MiB for one row");
}
