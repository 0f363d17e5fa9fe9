//! Figures: printed as lines, kept as JSON, drawn as SVG.

use crate::clock::Counts;
use crate::svg;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a run came to, as it is printed and kept.
#[derive(Default)]
pub struct Report {
    name: &'static str,
    figures: Map<String, Value>,
}

impl Report {
    pub fn new(name: &'static str) -> Self {
        println!("== {name}");
        Self { name, figures: Map::new() }
    }

    /// A figure, said in a line.
    pub fn tell(&mut self, key: &str, line: &str, value: Value) {
        println!("{line}");
        self.figures.insert(key.to_owned(), value);
    }

    /// A figure that is compared: both numbers, what one is of the other, and what it should be at least or at most.
    pub fn ratio(&mut self, key: &str, ratio: Ratio<'_>) {
        let Ratio { of: (what, of), to: (than, to), goal } = ratio;
        let value = of / to;
        let (word, limit, met) = match goal {
            Goal::AtLeast(limit) => ("at least", limit, value >= limit),
            Goal::AtMost(limit) => ("at most", limit, value <= limit),
        };
        let verdict = if met { "met" } else { "NOT MET" };
        println!("{key}: {what} {of:.3} / {than} {to:.3} = {value:.3} ({word} {limit}: {verdict})");
        let told = json!({
            "of": {what: of}, "to": {than: to}, "ratio": value, "goal": format!("{word} {limit}"), "met": met,
        });
        self.figures.insert(key.to_owned(), told);
    }

    /// What became of the events.
    pub fn account(&mut self, key: &str, counts: Counts) {
        let Counts { accepted, delivered, duplicates, unanswered } = counts;
        let lost = counts.lost();
        let line = format!(
            "{key}: accepted {accepted}, delivered {delivered}, duplicates {duplicates}, without an answer {unanswered}, lost {lost}"
        );
        let value = json!({
            "accepted": accepted, "delivered": delivered, "duplicates": duplicates, "unanswered": unanswered, "lost": lost,
        });
        self.tell(key, &line, value);
    }

    /// What was redirected, and what of it the store has in the end.
    pub fn clicks(&mut self, key: &str, redirected: usize, recorded: usize) {
        // One that was recorded and whose answer never came is no loss.
        let lost = redirected.saturating_sub(recorded);
        let line = format!("{key}: redirected {redirected}, recorded {recorded}, lost {lost}");
        let value = json!({"redirected": redirected, "recorded": recorded, "lost": lost});
        self.tell(key, &line, value);
    }

    /// What was answered otherwise than it should be.
    pub fn refused(&mut self, key: &str, refused: &crate::sender::Refused) {
        let line = match refused.is_empty() {
            true => format!("{key}: none"),
            false => format!("{key}: {refused:?}"),
        };
        let value = refused.iter().map(|(status, count)| (status.to_string(), json!(count))).collect();
        self.tell(key, &line, Value::Object(value));
    }

    /// How many were accepted and delivered in each second: kept for the picture, not printed.
    pub fn seconds(&mut self, key: &str, seconds: &[(u64, u64)]) {
        let (accepted, delivered): (Vec<_>, Vec<_>) = seconds.iter().copied().unzip();
        let value = json!({"accepted_in_second": accepted, "delivered_in_second": delivered});
        self.figures.insert(key.to_owned(), value);
    }

    /// Quantiles of sorted times.
    pub fn latency(&mut self, key: &str, sorted: &[Duration]) {
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|at| millis(quantile(sorted, at)));
        let longest = millis(sorted.last().copied().unwrap_or_default());
        let line = format!(
            "{key}: p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms, longest {longest:.2} ms ({} of them)",
            sorted.len()
        );
        let value = json!({
            "p50_ms": p50, "p99_ms": p99, "p999_ms": p999, "max_ms": longest, "count": sorted.len(),
            "curve": svg::curve(sorted),
        });
        self.tell(key, &line, value);
    }

    /// What it cost each process.
    pub fn costs(
        &mut self,
        key: &str,
        costs: &std::collections::BTreeMap<String, crate::cost::Cost>,
        events: usize,
    ) {
        let line: Vec<_> = costs
            .iter()
            .map(|(name, cost)| {
                let micros = cost.cpu * 1e6 / events.max(1) as f64;
                let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
                let memory = match cost.peak {
                    0 => String::new(),
                    peak => format!(", {:.0} MiB at most, {:.0} MiB written", mib(peak), mib(cost.written)),
                };
                format!("  {name}: {micros:.1} us of CPU per event ({:.2} s{memory})", cost.cpu)
            })
            .collect();
        self.tell(key, &format!("{key}:\n{}", line.join("\n")), crate::cost::json(costs, events));
    }

    /// Keeps it as JSON beside the others, and its pictures beside that; gives where.
    pub fn keep(self, dir: &Path) -> Result<PathBuf> {
        std::fs::create_dir_all(dir)?;
        let path = dir.join(format!("{}.json", self.name));
        let text = serde_json::to_string_pretty(&self.figures)? + "\n";
        let pictures = svg::pictures(self.name, &self.figures);
        let pictures = pictures.into_iter().map(|(name, text)| (dir.join(name), text));
        for (path, text) in std::iter::once((path.clone(), text)).chain(pictures) {
            std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
            println!("kept in {}", path.display());
        }
        Ok(path)
    }
}

/// Two figures of one run.
pub struct Ratio<'a> {
    pub of: (&'a str, f64),
    pub to: (&'a str, f64),
    pub goal: Goal,
}

/// What is aimed at.
#[derive(Clone, Copy)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

/// The time that this share of sorted times is not above.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// The middle of figures; of two in the middle, what lies between them.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    let at = |place: usize| figures.get(place).copied().unwrap_or(f64::NAN);
    if figures.len().is_multiple_of(2) {
        f64::midpoint(at(middle.wrapping_sub(1)), at(middle))
    } else {
        at(middle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn a_quantile_is_one_of_the_times() {
        let times: Vec<_> = (1..=1_000).map(Duration::from_millis).collect();
        assert_eq!(quantile(&times, 0.5), Duration::from_millis(500));
        assert_eq!(quantile(&times, 0.99), Duration::from_millis(990));
        assert_eq!(quantile(&times, 0.999), Duration::from_millis(999));
        assert_eq!(quantile(&times[..1], 0.999), Duration::from_millis(1));
        assert_eq!(quantile(&[], 0.5), Duration::ZERO);
    }
}
