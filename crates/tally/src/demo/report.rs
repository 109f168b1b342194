//! What the demo prints.

use std::{
    io::Write,
    time::{Duration, Instant},
};

/// Prints steps as they happen.
#[derive(Debug)]
pub struct Report {
    step: Instant,
    quiet: bool,
}

impl Report {
    /// A report to the standard output.
    pub fn new() -> Self {
        Self { step: Instant::now(), quiet: false }
    }

    /// A report that nobody sees, for tests.
    pub fn quiet() -> Self {
        Self { step: Instant::now(), quiet: true }
    }

    /// A headline.
    pub fn title(&mut self, text: &str) {
        self.line(&format!("\n{text}\n{}", "─".repeat(text.chars().count())));
        self.step = Instant::now();
    }

    /// What the columns of a step are.
    pub fn columns(&self) {
        self.line("  block  blocks left  who        what  (time taken)");
    }

    /// A step: the height, how many blocks are left until the money must be paid out or goes back, who did what, and
    /// how long it took since the last one.
    pub fn step(&mut self, height: u32, blocks_left: Option<u32>, who: &str, what: &str) {
        let took = self.step.elapsed();
        let left = blocks_left.map_or_else(|| "—".to_owned(), |blocks| blocks.to_string());
        self.line(&format!("  {height:>5}  {left:>11}  {who:<10} {what}  ({})", span(took)));
        self.step = Instant::now();
    }

    /// A line of its own.
    pub fn line(&self, text: &str) {
        if !self.quiet {
            // A closed pipe ends the printing, not the demo.
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }
}

impl Default for Report {
    fn default() -> Self {
        Self::new()
    }
}

fn span(took: Duration) -> String {
    match took.as_millis() {
        millis @ 0..10_000 => format!("{millis} ms"),
        millis => format!("{} s", millis / 1_000),
    }
}
