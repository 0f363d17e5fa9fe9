//! Telling a person what happens, with the time since the beginning.

use std::time::Instant;

/// Tells one journey's steps.
#[derive(Clone, Debug)]
pub struct Teller {
    label: &'static str,
    began: Instant,
}

impl Teller {
    /// A teller whose lines begin with `label`; its clock starts at `began`.
    pub fn new(label: &'static str, began: Instant) -> Self {
        Self { label, began }
    }

    /// The time since the beginning, at `instant`.
    pub fn at(&self, instant: Instant) -> String {
        format!("{:.2} s", instant.saturating_duration_since(self.began).as_secs_f64())
    }

    /// One step.
    pub fn say(&self, what: impl AsRef<str>) {
        let time = self.began.elapsed().as_secs_f64();
        println!("[{}] {time:6.2} s  {}", self.label, what.as_ref());
    }

    /// A command, and what it printed.
    pub fn show(&self, command: &str, printed: &str) {
        self.say(format!("$ {command}"));
        for line in printed.trim_end().lines() {
            println!("[{}]           | {line}", self.label);
        }
    }
}
