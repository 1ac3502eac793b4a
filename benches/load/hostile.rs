//! Bodies that are meant to hurt, sent signed to a running bridge: what each is answered, how fast, and what memory it takes.

use std::path::Path;
use std::time::{Duration, Instant};

use super::bridge::{Place, Setup};
use super::client::Client;
use super::table::{median, print, verdict};
use super::{Args, machine, webhook};

const TARGET: Duration = Duration::from_millis(50);
const TARGET_MIB: f64 = 20.0;

/// As much of `unit` as a body of 1 MiB may hold.
fn full(unit: &str) -> String {
    unit.repeat(((1 << 20) - 64) / unit.len())
}

fn bodies() -> Vec<(&'static str, &'static str, String)> {
    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded";
    let mut laughs = "<?xml version=\"1.0\"?><!DOCTYPE lolz [<!ENTITY lol \"lol\">".to_owned();
    for n in 1..10 {
        laughs += &format!("<!ENTITY lol{n} \"{}\">", format!("&lol{};", n - 1).repeat(10));
    }
    let deep: String = (0..2_000).map(|n| format!("{n}{}=1&", "[b]".repeat(60))).collect();
    let wide: String = (0..60_000).map(|n| format!("\"{n}\":0,")).collect();
    vec![
        ("JSON, 10,000 deep", JSON, format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000))),
        ("JSON, 1 MiB of brackets", JSON, full("[")),
        ("JSON, 500,000 numbers", JSON, format!("[{}1]", full("1,"))),
        ("JSON, 60,000 names", JSON, format!("{{{wide}\"b\":0}}")),
        ("JSON, 1e308, then 1e999", JSON, "{\"a\":1e308,\"b\":1e999}".into()),
        ("JSON, a number of 1 MB", JSON, format!("{{\"phone\":{}}}", "9".repeat(1_000_000))),
        ("JSON, a phone of 1 MB", JSON, format!("{{\"phone\":\"{}\"}}", "x".repeat(1_000_000))),
        ("JSON, 1 MiB of NULs", JSON, format!("{{\"phone\":\"{}\"}}", full("\\u0000"))),
        ("JSON, right-to-left and templates", JSON, "{\"phone\":\"\u{202e}8765432190\u{202c}\",\"name\":\"{{param.token}}{{#each @root}}\"}".into()),
        ("form, 2,000 names of depth 60", FORM, deep),
        ("form, 260,000 equal names", FORM, full("a=1&")),
        ("XML, a billion laughs", "text/xml", format!("{laughs}]><lolz>&lol9;</lolz>")),
        ("XML, 10,000 deep", "text/xml", "<a>".repeat(10_000)),
        ("XML, 260,000 elements", "text/xml", format!("<r>{}</r>", full("<a/>"))),
        ("multipart without an end", "multipart/form-data; boundary=x", full("--x\r\n")),
    ]
}

/// Measures and prints. An answer of 202 is a delivery that was stored; its event tells later why there is no call.
pub async fn run(args: &Args, dir: &Path) -> anyhow::Result<()> {
    let place = Place::new(dir, &Setup::paused())?;
    let bridge = place.serve("all")?;
    let mut client = Client::connect(bridge.address).await?;
    // What is made once, as the compiled plugin, is not the payload's.
    client.exchange(&webhook::request(0, 0)).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut rows = Vec::new();
    for (name, content_type, body) in bodies() {
        let request = webhook::signed(0, content_type, body.as_bytes());
        machine::forget_peak(bridge.pid())?;
        let before = bridge.rss_mib();
        let (mut took, mut status) = (Vec::new(), 0);
        for _ in 0..args.rounds.max(3) {
            let mut client = Client::connect(bridge.address).await?;
            let begun = Instant::now();
            status = client.exchange(&request).await?.0;
            took.push(begun.elapsed().as_secs_f64() * 1000.0);
            // Mapping follows the answer; the next payload does not pay for it.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let more = (machine::peak_mib(bridge.pid()) - before).max(0.0);
        let worst = took.iter().copied().fold(0.0, f64::max);
        let met = verdict(worst < TARGET.as_secs_f64() * 1000.0 && more < TARGET_MIB && status < 500);
        rows.push(vec![name.into(), status.to_string(), format!("{:.1}", median(&took)), format!("{worst:.1}"), format!("{more:.1}"), met.into()]);
    }
    let alive = client.exchange(&webhook::request(0, 1)).await?.0;
    let notes = [format!("Limits: 50 ms and 20 MiB more at the most. A usual webhook after all of them is answered with {alive}.")];
    print("Hostile payloads", &["body", "status", "median ms", "worst ms", "more memory at most, MiB", "target"], &rows, &notes);
    Ok(())
}
