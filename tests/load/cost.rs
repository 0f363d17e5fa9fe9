//! What a run costs each process: processor time, memory at its most, what it wrote. Read from `/proc`.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The kernel counts processor time in hundredths of a second, on every Linux that there is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Who is watched: a name, and its processes (PostgreSQL has several).
#[derive(Clone, Debug)]
pub struct Watched {
    pub name: String,
    pub root: u32,
}

/// What one has used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Seconds.
    pub cpu: f64,
    /// The most memory that it had (of several processes, the sum of what each had at its most), in bytes.
    pub peak: u64,
    /// What went to the disk, in bytes.
    pub written: u64,
}

/// The costs since [`Meter::start`].
pub struct Meter {
    watched: Vec<Watched>,
    before: BTreeMap<String, Cost>,
}

impl Meter {
    /// Starts to count.
    pub fn start(watched: Vec<Watched>) -> Result<Self> {
        let before = now(&watched)?;
        Ok(Self { watched, before })
    }

    /// What was used since.
    pub fn read(&self) -> Result<BTreeMap<String, Cost>> {
        let mut costs = now(&self.watched)?;
        for (name, cost) in &mut costs {
            let before = self.before.get(name).copied().unwrap_or_default();
            cost.cpu -= before.cpu;
            cost.written = cost.written.saturating_sub(before.written);
        }
        Ok(costs)
    }
}

fn now(watched: &[Watched]) -> Result<BTreeMap<String, Cost>> {
    let mut costs = BTreeMap::new();
    for one in watched {
        let cost = tree(one.root).with_context(|| format!("the figures of {}", one.name))?;
        costs.insert(one.name.clone(), cost);
    }
    let own = std::process::id();
    let of_receiver = |name: &str| crate::receiver::THREAD.starts_with(name) && name.starts_with("load-rec");
    let threads = threads(own)?;
    let receiver: f64 = threads.iter().filter(|(name, _)| of_receiver(name)).map(|(_, cpu)| cpu).sum();
    // The process, and not the sum of its threads: those that have ended are in no list.
    let load = own_time(&fs::read_to_string(format!("/proc/{own}/stat"))?)?.1 - receiver;
    costs.insert("receiver".to_owned(), Cost { cpu: receiver, ..Cost::default() });
    costs.insert("load".to_owned(), Cost { cpu: load, ..Cost::default() });
    Ok(costs)
}

/// A process and its children. What a child used that has ended counts as its parent's.
fn tree(root: u32) -> Result<Cost> {
    let mut sum = Cost::default();
    let parents = parents()?;
    let mut left = vec![root];
    while let Some(pid) = left.pop() {
        left.extend(parents.iter().filter(|(_, parent)| *parent == pid).map(|(child, _)| *child));
        let Ok(cost) = process(pid) else { continue };
        sum =
            Cost { cpu: sum.cpu + cost.cpu, peak: sum.peak + cost.peak, written: sum.written + cost.written };
    }
    Ok(sum)
}

fn process(pid: u32) -> Result<Cost> {
    let dir = format!("/proc/{pid}");
    let text = fs::read_to_string(format!("{dir}/stat"))?;
    let fields = stat(&text)?.1;
    let ticks: f64 = fields[11..=14].iter().filter_map(|field| field.parse::<f64>().ok()).sum();
    let peak = member(&fs::read_to_string(format!("{dir}/status"))?, "VmHWM:").unwrap_or(0) * 1024;
    let written = fs::read_to_string(format!("{dir}/io")).ok().and_then(|io| member(&io, "write_bytes:"));
    Ok(Cost { cpu: ticks / TICKS_PER_SECOND, peak, written: written.unwrap_or(0) })
}

/// The processor time of each thread, with its name.
fn threads(pid: u32) -> Result<Vec<(String, f64)>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let Ok(text) = fs::read_to_string(entry?.path().join("stat")) else { continue };
        threads.push(own_time(&text)?);
    }
    Ok(threads)
}

/// The name and the processor time of a stat line, without what its children used.
fn own_time(text: &str) -> Result<(String, f64)> {
    let (name, fields) = stat(text)?;
    let ticks: f64 = fields[11..=12].iter().filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok((name, ticks / TICKS_PER_SECOND))
}

fn parents() -> Result<Vec<(u32, u32)>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(text) = fs::read_to_string(Path::new("/proc").join(&name).join("stat")) else { continue };
        if let Some(parent) = stat(&text)?.1.get(1).and_then(|parent| parent.parse().ok()) {
            parents.push((pid, parent));
        }
    }
    Ok(parents)
}

/// A stat line's name, and what follows it, from the state on.
fn stat(text: &str) -> Result<(String, Vec<&str>)> {
    let (head, rest) = text.rsplit_once(')').context("a stat line has a name in brackets")?;
    let name = head.split_once('(').map_or(head, |(_, name)| name);
    Ok((name.to_owned(), rest.split_whitespace().collect()))
}

/// The number of a line such as `VmHWM:   123 kB`.
fn member(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// As JSON, with each event's share of the processor, in microseconds.
pub fn json(costs: &BTreeMap<String, Cost>, events: usize) -> Value {
    let per_event = |cost: &Cost| (cost.cpu * 1e6 / events.max(1) as f64 * 10.0).round() / 10.0;
    costs
        .iter()
        .map(|(name, cost)| {
            let told = json!({
                "cpu_seconds": (cost.cpu * 100.0).round() / 100.0,
                "cpu_us_per_event": per_event(cost),
                "peak_bytes": cost.peak,
                "written_bytes": cost.written,
            });
            (name.clone(), told)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_uses_is_counted() {
        let meter = Meter::start(vec![Watched { name: "we".to_owned(), root: std::process::id() }]).unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_millis(300);
        while std::time::Instant::now() < until {
            std::hint::spin_loop();
        }
        let we = meter.read().unwrap()["we"];
        assert!(we.cpu >= 0.1, "{we:?}");
        assert!(we.peak > 0);
    }

    #[test]
    fn a_name_with_brackets_and_spaces_is_a_name() {
        let (name, fields) = stat("12 (a (b) c) S 1 2 3").unwrap();
        assert_eq!((name.as_str(), fields[0], fields[1]), ("a (b) c", "S", "1"));
    }
}
