//! Pictures of what a run has kept: how latencies are spread, and what each second came to. Lines on a grid, as text.

use crate::report::{millis, quantile};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// Of the whole picture; higher where there are many lines to be named.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 430.0;
/// Around the plot: for the labels, and on the right for the names of the lines.
const LEFT: f64 = 78.0;
const RIGHT: f64 = 250.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 62.0;
/// From one line's name to the next.
const NAME: f64 = 19.0;
/// Told apart by those who see no red or no green as well (Okabe and Ito's).
const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6bb1"];
/// Lines beyond the colours are dashed.
const DASHES: [&str; 3] = ["none", "7 4", "2 3"];
/// How finely a curve is drawn, between a share and ten times fewer beyond it.
const STEPS: u32 = 20;
/// As far as a curve goes: 99.99 %.
const NINES: f64 = 4.0;
/// About how many lines of the grid there are.
const TICKS: f64 = 6.0;

/// The points of a curve of sorted times, each a share of them in percent and the milliseconds that this share was not
/// above. It ends where fewer than ten times lie beyond: what one time alone says is said as the longest.
pub fn curve(sorted: &[Duration]) -> Value {
    if sorted.is_empty() {
        return json!([]);
    }
    let most = NINES.min((sorted.len() as f64 / 10.0).log10().max(1.0));
    let points = (0..=STEPS * 4).map(|step| f64::from(step) / f64::from(STEPS)).take_while(|x| *x <= most);
    points
        .map(|nines| {
            let share = 1.0 - 10_f64.powf(-nines);
            let rounded = (share * 1e6).round() / 1e4;
            json!([rounded, (millis(quantile(sorted, share)) * 1e4).round() / 1e4])
        })
        .collect()
}

/// The pictures of a run by their files' names, from the figures that are kept.
pub fn pictures(run: &str, figures: &Map<String, Value>) -> Vec<(String, String)> {
    let mut pictures = Vec::new();
    let curves = figures.iter().filter_map(|(key, figure)| curve_of(key, figure["curve"].as_array()?));
    let curves: Vec<_> = curves.collect();
    if !curves.is_empty() {
        pictures.push((format!("{run}-latency.svg"), latencies(&format!("{run}: latency"), curves)));
    }
    for (key, figure) in figures {
        let line = |name: &str| {
            let counts = figure[format!("{name}_in_second")].as_array()?;
            // The last second is not a whole one.
            let whole = &counts[..counts.len().saturating_sub(1)];
            let points =
                whole.iter().enumerate().filter_map(|(second, count)| Some((second as f64, count.as_f64()?)));
            let points: Vec<_> = points.collect();
            (points.len() > 1).then(|| Line { name: name.to_owned(), points })
        };
        let lines: Vec<_> = ["accepted", "delivered"].into_iter().filter_map(line).collect();
        if !lines.is_empty() {
            pictures.push((format!("{run}-{key}.svg"), seconds(&format!("{run}: {key}"), lines)));
        }
    }
    pictures
}

fn curve_of(key: &str, points: &[Value]) -> Option<Line> {
    let points = points.iter().filter_map(|point| {
        let (share, time) = (point[0].as_f64()?, point[1].as_f64()?);
        Some((nines(share), time))
    });
    // On a scale of powers there is no nought.
    let points: Vec<_> = points.map(|(x, y)| (x, y.max(1e-3))).collect();
    (points.len() > 1).then(|| Line { name: key.to_owned(), points })
}

/// Where a percentage stands: 0 at none, 1 at 90, 2 at 99.
fn nines(percent: f64) -> f64 {
    -(1.0 - percent / 100.0).max(1e-6).log10()
}

fn latencies(title: &str, lines: Vec<Line>) -> String {
    let values = || lines.iter().flat_map(|line| line.points.iter());
    let least = values().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let most = values().map(|point| point.1).fold(0.0, f64::max);
    let end = values().map(|point| point.0).fold(1.0, f64::max);
    let shares = [0.0, 50.0, 75.0, 90.0, 99.0, 99.9, 99.99];
    let ticks = shares
        .map(|share| (nines(share), format!("{share}")))
        .into_iter()
        .filter(|tick| tick.0 <= end + 1e-6);
    let x = Axis { label: "share of all, in percent".to_owned(), ticks: ticks.collect(), from: 0.0, to: end };
    Chart { title, x, y: powers("milliseconds", least, most), lines }.draw()
}

fn seconds(title: &str, lines: Vec<Line>) -> String {
    let values = || lines.iter().flat_map(|line| line.points.iter());
    let most = values().map(|point| point.1).fold(1.0, f64::max);
    let end = values().map(|point| point.0).fold(1.0, f64::max);
    let x = even("seconds since the first was to be sent", end, end);
    let top = even("events in a second", most, (most / step(most)).ceil() * step(most));
    Chart { title, x, y: Scale::Even(top), lines }.draw()
}

/// A line, by its points in the axes' units.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

struct Axis {
    label: String,
    ticks: Vec<(f64, String)>,
    from: f64,
    to: f64,
}

impl Axis {
    /// How far along it a value is, from 0 to 1.
    fn at(&self, value: f64) -> f64 {
        ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }
}

/// An axis whose values are as they are, or by their powers of ten.
enum Scale {
    Even(Axis),
    Powers(Axis),
}

impl Scale {
    fn axis(&self) -> &Axis {
        match self {
            Self::Even(axis) | Self::Powers(axis) => axis,
        }
    }

    fn at(&self, value: f64) -> f64 {
        match self {
            Self::Even(axis) => axis.at(value),
            Self::Powers(axis) => axis.at(value.max(f64::MIN_POSITIVE).log10()),
        }
    }
}

/// From nought on, with ticks at round numbers up to `most`.
fn even(label: &str, most: f64, to: f64) -> Axis {
    let step = step(most);
    let ticks = (0..).map(|tick| f64::from(tick) * step).take_while(|at| *at <= to + step * 1e-6);
    Axis { label: label.to_owned(), ticks: ticks.map(|at| (at, number(at))).collect(), from: 0.0, to }
}

/// 1, 2 or 5 times a power of ten, so that there are about as many ticks as are wanted.
fn step(most: f64) -> f64 {
    let rough = most / TICKS;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough).unwrap_or(10.0);
    factor * power
}

/// From the power of ten below the least to a round number above the most.
fn powers(label: &str, least: f64, most: f64) -> Scale {
    let marks: Vec<f64> =
        (-3..7).flat_map(|power| [1.0, 2.0, 5.0].map(|factor| factor * 10_f64.powi(power))).collect();
    let from = marks.iter().copied().rfind(|mark| *mark <= least).unwrap_or(1e-3);
    let to = marks.iter().copied().find(|mark| *mark >= most && *mark > from).unwrap_or(5e6);
    let ticks = marks.into_iter().filter(|mark| (from..=to).contains(mark));
    let ticks = ticks.map(|mark| (mark.log10(), number(mark))).collect();
    Scale::Powers(Axis { label: label.to_owned(), ticks, from: from.log10(), to: to.log10() })
}

/// A tick's number, with commas between thousands and no more digits than it has.
fn number(value: f64) -> String {
    if value < 1_000.0 {
        return format!("{}", (value * 1e6).round() / 1e6);
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

struct Chart<'a> {
    title: &'a str,
    x: Axis,
    y: Scale,
    lines: Vec<Line>,
}

impl Chart<'_> {
    fn height(&self) -> f64 {
        HEIGHT.max(TOP + NAME * self.lines.len() as f64 + BOTTOM)
    }

    fn draw(&self) -> String {
        let height = self.height();
        let mut svg = format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="system-ui, sans-serif" font-size="12" fill="#222">
<title>{title}</title>
<rect width="100%" height="100%" fill="#fff"/>
<text x="{LEFT}" y="28" font-size="16" font-weight="600">{title}</text>
"##,
            title = escaped(self.title),
        );
        self.grid(&mut svg);
        for (place, line) in self.lines.iter().enumerate() {
            self.line(place, line, &mut svg);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let (wide, high) = (WIDTH - LEFT - RIGHT, self.height() - TOP - BOTTOM);
        (LEFT + self.x.at(x) * wide, TOP + (1.0 - self.y.at(y)) * high)
    }

    // Writing to memory does not fail.
    fn grid(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, self.height() - BOTTOM);
        for (at, text) in &self.x.ticks {
            let x = LEFT + self.x.at(*at) * (right - LEFT);
            let _ = writeln!(
                svg,
                r##"<path d="M{x:.1} {TOP}V{bottom}" stroke="#e4e4e4"/><text x="{x:.1}" y="{:.1}" text-anchor="middle">{text}</text>"##,
                bottom + 18.0,
            );
        }
        let y_axis = self.y.axis();
        for (at, text) in &y_axis.ticks {
            let y = TOP + (1.0 - y_axis.at(*at)) * (bottom - TOP);
            let _ = writeln!(
                svg,
                r##"<path d="M{LEFT} {y:.1}H{right}" stroke="#e4e4e4"/><text x="{:.1}" y="{:.1}" text-anchor="end">{text}</text>"##,
                LEFT - 8.0,
                y + 4.0,
            );
        }
        let (middle, centre) = (f64::midpoint(TOP, bottom), f64::midpoint(LEFT, right));
        let _ = writeln!(
            svg,
            r##"<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#555"/>
<text x="{centre:.1}" y="{:.1}" text-anchor="middle">{}</text>
<text transform="translate(18 {middle:.1}) rotate(-90)" text-anchor="middle">{}</text>"##,
            self.height() - 18.0,
            escaped(&self.x.label),
            escaped(&y_axis.label),
        );
    }

    fn line(&self, place: usize, line: &Line, svg: &mut String) {
        let colour = COLOURS[place % COLOURS.len()];
        let dash = DASHES[place / COLOURS.len() % DASHES.len()];
        let points: Vec<_> = line.points.iter().map(|point| self.place(*point)).collect();
        let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let (x, y) = (WIDTH - RIGHT + 16.0, TOP + 8.0 + NAME * place as f64);
        let _ = writeln!(
            svg,
            r##"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}" stroke-linejoin="round"/>
<path d="M{x:.1} {y:.1}h22" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/><text x="{:.1}" y="{:.1}">{}</text>"##,
            points.join(" "),
            x + 28.0,
            y + 4.0,
            escaped(&line.name),
        );
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(count: u64) -> Vec<Duration> {
        (1..=count).map(Duration::from_micros).collect()
    }

    #[test]
    fn a_curve_goes_as_far_as_there_are_times_enough_to_tell() {
        let last = |count| {
            let curve = curve(&times(count));
            let points = curve.as_array().unwrap();
            (points.first().unwrap()[0].as_f64().unwrap(), points.last().unwrap()[0].as_f64().unwrap())
        };
        assert_eq!(last(10_000), (0.0, 99.9));
        assert_eq!(last(50), (0.0, 90.0));
        assert_eq!(last(200_000), (0.0, 99.99));
        assert_eq!(curve(&[]), json!([]));
        let curve = curve(&times(10_000));
        let at_90 = curve.as_array().unwrap().iter().find(|point| point[0] == 90.0).unwrap().clone();
        assert_eq!(at_90, json!([90.0, 9.0]));
    }

    #[test]
    fn a_run_has_a_picture_of_its_latencies_and_of_its_seconds() {
        let mut figures = Map::new();
        figures.insert("accept <1>".to_owned(), json!({"curve": curve(&times(1_000))}));
        figures.insert("idle".to_owned(), json!({"curve": curve(&times(100))}));
        let counts = json!({"accepted_in_second": [900, 1_200, 3], "delivered_in_second": [700, 1_100, 303]});
        figures.insert("seconds_1".to_owned(), counts);
        figures.insert("rate".to_owned(), json!(12.5));
        let pictures = pictures("deliver", &figures);
        let names: Vec<_> = pictures.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["deliver-latency.svg", "deliver-seconds_1.svg"]);
        for (name, svg) in &pictures {
            assert_eq!(svg.matches("<polyline").count(), 2, "{name}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        }
        assert!(pictures[0].1.contains("accept &lt;1&gt;"));
        assert!(pictures[1].1.contains("events in a second"));
    }

    #[test]
    fn ticks_are_round_numbers() {
        let axis = even("x", 12_345.0, 14_000.0);
        let ticks: Vec<_> = axis.ticks.iter().map(|tick| tick.1.as_str()).collect();
        assert_eq!(ticks, ["0", "5,000", "10,000"]);
        let Scale::Powers(axis) = powers("y", 0.3, 42.0) else { panic!("it is of powers") };
        let ticks: Vec<_> = axis.ticks.iter().map(|tick| tick.1.as_str()).collect();
        assert_eq!(ticks, ["0.2", "0.5", "1", "2", "5", "10", "20", "50"]);
    }

    #[test]
    fn a_scale_of_powers_ends_where_its_least_and_most_are() {
        let scale = powers("y", 1.0, 100.0);
        assert!((scale.at(1.0) - 0.0).abs() < 1e-9);
        assert!((scale.at(10.0) - 0.5).abs() < 1e-9);
        assert!((scale.at(100.0) - 1.0).abs() < 1e-9);
    }
}
