//! What the numbers were measured on, and what processes used.

use std::process::Command;

/// Machine, commit and command, for the top of a page of numbers.
pub fn heading() -> String {
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_default();
    let memory = field("/proc/meminfo", "MemTotal").and_then(|m| m.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024 / 1024;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let commit = output("git", &["rev-parse", "--short", "HEAD"]);
    let dirty = if output("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty() { "" } else { " with changes" };
    let date = output("date", &["-u", "+%Y-%m-%d %H:%M UTC"]);
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let load = read("/proc/loadavg").split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    let build = if cfg!(debug_assertions) { " · **not a release build**" } else { "" };
    format!(
        "Measured {date} at commit {commit}{dirty} with `benches/run {}`{build}\n\nMachine: {cores} × {cpu}, {memory} GiB, Linux {kernel}; load before the start {load}\n",
        args.join(" ")
    )
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn field(path: &str, name: &str) -> Option<String> {
    read(path).lines().find_map(|line| Some(line.strip_prefix(name)?.trim_start_matches([' ', '\t', ':']).to_owned()))
}

fn output(program: &str, args: &[&str]) -> String {
    Command::new(program).args(args).output().map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
}

/// Resident memory of a process in MiB.
pub fn rss_mib(pid: u32) -> f64 {
    let kib = field(&format!("/proc/{pid}/status"), "VmRSS").and_then(|v| v.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}

/// The most resident memory of a process in MiB, since it began or since [`forget_peak`].
pub fn peak_mib(pid: u32) -> f64 {
    let kib = field(&format!("/proc/{pid}/status"), "VmHWM").and_then(|v| v.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

pub fn forget_peak(pid: u32) -> std::io::Result<()> {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5")
}

/// Processor seconds that a process used so far, in user and kernel.
pub fn cpu_secs(pid: u32) -> f64 {
    let stat = read(&format!("/proc/{pid}/stat"));
    // The name may hold spaces: count behind its bracket. Ticks are hundredths of a second on Linux.
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 = after.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum();
    ticks / 100.0
}

/// The same per thread name, for finding out where the time goes.
pub fn cpu_by_thread(pid: u32) -> Vec<(String, f64)> {
    let mut threads = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((head, after)) = stat.rsplit_once(')') else { continue };
        let name = head.split_once('(').map_or("", |(_, name)| name).to_owned();
        let ticks: f64 = after.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum();
        *threads.entry(name).or_insert(0.0) += ticks / 100.0;
    }
    threads.into_iter().collect()
}
