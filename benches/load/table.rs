//! Medians, percentiles and markdown tables.

/// The middle value; the mean of the two middle ones of an even number.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// The value below which this share of the values lies, in ms, of latencies in µs. Sorts them.
pub fn percentile_ms(latencies_us: &mut [u32], share: f64) -> f64 {
    latencies_us.sort_unstable();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "an index into what is in memory")]
    let at = ((latencies_us.len() as f64) * share) as usize;
    latencies_us.get(at.min(latencies_us.len().saturating_sub(1))).map_or(f64::NAN, |us| f64::from(*us) / 1000.0)
}

/// A whole number with commas.
pub fn whole(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && digit.is_ascii_digit() && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Whether a target was met, as one word.
pub fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}

/// Prints a heading, a table and what to know about it.
pub fn print(title: &str, columns: &[&str], rows: &[Vec<String>], notes: &[String]) {
    println!("\n## {title}\n");
    println!("| {} |", columns.join(" | "));
    println!("|{}", "---|".repeat(columns.len()));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
    for note in notes {
        println!("\n{note}");
    }
}
