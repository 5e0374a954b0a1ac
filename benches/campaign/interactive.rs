//! One task while a pilot runs that has nothing to do: what somebody waits for who tries something out.

use std::time::Duration;

use crate::Scale;
use crate::ground::{bench, daemon, figure, median, say};

const REPEATS: u32 = 20;

pub fn run(scale: Scale) {
    let daemon = daemon();
    bench(&daemon, 10, &[]);
    let mut seconds = Vec::new();
    for _ in 0..scale.of(REPEATS) {
        // Long enough for the pilot to look for work less and less often.
        std::thread::sleep(Duration::from_secs(3));
        seconds.push(figure(&bench(&daemon, 1, &[]), "/stages/end_to_end/seconds"));
    }
    let worst = seconds.iter().copied().fold(0.0, f64::max);
    say(&format!(
        "one interactive task: stored after {:.2} s in the middle, {worst:.2} s at worst, of {}",
        median(seconds.clone()),
        seconds.len()
    ));
    say("  bound: within 2 s");
}
