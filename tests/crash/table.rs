//! The table of figures, and whether each is as promised.

/// Figures with what is allowed.
#[derive(Default)]
pub struct Table {
    rows: Vec<(String, i64, Option<i64>)>,
}

impl Table {
    /// A figure to know.
    pub fn tell(&mut self, what: &str, figure: usize) {
        self.rows.push((what.to_owned(), figure as i64, None));
    }

    /// A figure that must not be greater.
    pub fn at_most(&mut self, what: &str, figure: usize, allowed: usize) {
        self.rows.push((what.to_owned(), figure as i64, Some(allowed as i64)));
    }

    /// Things that must not be; the first few are printed.
    pub fn none(&mut self, what: &str, found: &[String]) {
        self.at_most(what, found.len(), 0);
        for one in found.iter().take(5) {
            println!("  {what}: {one}");
        }
    }

    /// Two sums that must be one.
    pub fn equal(&mut self, what: &str, left: i64, right: i64) {
        self.rows.push((format!("{what}: {left} = {right}"), (left - right).abs(), Some(0)));
    }

    /// Prints all; the names of what is not as promised.
    pub fn print(&self, title: &str) -> Vec<String> {
        println!("\n{title}");
        println!("{:<72} {:>9} {:>9}", "", "figure", "allowed");
        let mut broken = Vec::new();
        for (what, figure, allowed) in &self.rows {
            let wrong = allowed.is_some_and(|allowed| *figure > allowed);
            let limit = allowed.map_or_else(String::new, |a| format!("≤ {a}"));
            println!("{what:<72} {figure:>9} {limit:>9}{}", if wrong { "  ✗" } else { "" });
            if wrong {
                broken.push(what.clone());
            }
        }
        broken
    }
}
