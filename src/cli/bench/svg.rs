//! The picture of core occupancy over time, as SVG. Pure.

use std::fmt::Write;

use super::axis::{Axis, Unit, number};
use super::occupancy::Occupancy;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 420.0;
/// The frame of the plot: left, top, right, bottom.
const FRAME: (f64, f64, f64, f64) = (72.0, 92.0, 928.0, 348.0);

const INK: &str = "#1f2933";
const FAINT: &str = "#d5dbe1";
const GREY: &str = "#5b6770";
const BUSY: &str = "#3b7dd8";
const HELD: &str = "#c2410c";

/// Draws `occupancy` under `title` and `subtitle`.
pub(super) fn draw(occupancy: &Occupancy, title: &str, subtitle: &str) -> String {
    let (left, top, right, bottom) = FRAME;
    let peak = occupancy.held.iter().chain(&occupancy.busy).copied().fold(1.0, f64::max);
    let cores = Axis::new(peak * 1.08, 6.0);
    let unit = Unit::of(occupancy.seconds());
    let time = Axis {
        end: occupancy.seconds() / unit.seconds,
        ..Axis::new(occupancy.seconds() / unit.seconds, 10.0)
    };
    let x = |value: f64| left + (right - left) * value / time.end;
    let y = |value: f64| bottom - (bottom - top) * value / cores.end;

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\" role=\"img\">\n"
    );
    let mut line = |text: String| svg.extend([text.as_str(), "\n"]);
    line(format!("<title>{}</title>", escaped(title)));
    line(format!("<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>"));
    line(text(left, 34.0, "start", 19, INK, title));
    line(text(left, 56.0, "start", 13, GREY, subtitle));
    for tick in cores.ticks() {
        let at = y(tick);
        line(format!(
            "<line x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"{FAINT}\"/>"
        ));
        line(text(left - 10.0, at + 4.0, "end", 12, GREY, &number(tick)));
    }
    for tick in time.ticks() {
        let at = x(tick);
        line(format!(
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{bottom}\" y2=\"{:.1}\" stroke=\"{GREY}\"/>",
            bottom + 5.0
        ));
        line(text(at, bottom + 20.0, "middle", 12, GREY, &number(tick)));
    }
    let step = occupancy.step_seconds / unit.seconds;
    line(format!(
        "<path d=\"{} V{bottom} H{left} Z\" fill=\"{BUSY}\" fill-opacity=\"0.75\"/>",
        stairs(&occupancy.busy, step, &x, &y)
    ));
    line(format!(
        "<path d=\"{}\" fill=\"none\" stroke=\"{HELD}\" stroke-width=\"1.8\"/>",
        stairs(&occupancy.held, step, &x, &y)
    ));
    line(format!("<line x1=\"{left}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\" stroke=\"{INK}\"/>"));
    line(format!("<line x1=\"{left}\" x2=\"{left}\" y1=\"{top}\" y2=\"{bottom}\" stroke=\"{INK}\"/>"));
    let middle = (left + right) / 2.0;
    line(text(
        middle,
        bottom + 44.0,
        "middle",
        13,
        INK,
        &format!("time since the first start / {}", unit.name),
    ));
    let (at_x, at_y) = (left - 46.0, (top + bottom) / 2.0);
    line(format!(
        "<g transform=\"rotate(-90 {at_x} {at_y})\">{}</g>",
        text(at_x, at_y, "middle", 13, INK, "cores")
    ));
    line(format!(
        "<rect x=\"{left}\" y=\"70\" width=\"14\" height=\"10\" fill=\"{BUSY}\" fill-opacity=\"0.75\"/>"
    ));
    line(text(left + 20.0, 79.5, "start", 12, INK, "busy with tasks"));
    line(format!(
        "<line x1=\"{}\" x2=\"{}\" y1=\"75\" y2=\"75\" stroke=\"{HELD}\" stroke-width=\"1.8\"/>",
        left + 132.0,
        left + 152.0
    ));
    line(text(left + 158.0, 79.5, "start", 12, INK, "held by jobs"));
    svg.push_str("</svg>\n");
    svg
}

/// `M… H… V… H…` along the tops of the steps.
fn stairs(levels: &[f64], step: f64, x: &impl Fn(f64) -> f64, y: &impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    let mut drawn = None;
    for (index, level) in levels.iter().enumerate() {
        let (at, height) = (x(index as f64 * step), format!("{:.1}", y(*level)));
        match &drawn {
            None => path.push_str(&format!("M{at:.1} {height}")),
            // Steps of one height are one line.
            Some(before) if *before == height => {}
            Some(_) => path.push_str(&format!(" H{at:.1} V{height}")),
        }
        drawn = Some(height);
    }
    let _ = write!(path, " H{:.1}", x(levels.len() as f64 * step));
    path
}

fn text(x: f64, y: f64, anchor: &str, size: u32, colour: &str, words: &str) -> String {
    format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" fill=\"{colour}\">{}</text>",
        escaped(words)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cli::bench::occupancy::{Held, Stay, Until};
    use crate::model::ids::JobId;

    /// Two jobs of four cores; the second one starts later, and the first one's tasks are of uneven length.
    fn campaign() -> Occupancy {
        let task = |job: i64, start: f64, wall: f64| Stay { start, wall, cores: 1, job: JobId(job) };
        let mut stays = Vec::new();
        for core in 0..4 {
            for task_number in 0..12 {
                let uneven = f64::from((core * 5 + task_number * 3) % 7) * 0.05;
                stays.push(task(1, 100.0 + f64::from(task_number) * 2.5, 2.1 + uneven));
                if task_number < 8 {
                    stays.push(task(2, 108.5 + f64::from(task_number) * 2.5, 2.4));
                }
            }
        }
        let held = Held { cores: 4, until: Until::TheEnd };
        let jobs = BTreeMap::from([(JobId(1), held), (JobId(2), held)]);
        Occupancy::of(&stays, &jobs, 160).unwrap()
    }

    #[test]
    fn a_campaign_on_two_jobs() {
        insta::assert_snapshot!(
            "occupancy",
            draw(&campaign(), "Core occupancy: 91.5 %", "80 tasks of sleep:2400 on pool <cpu>")
        );
    }
}
