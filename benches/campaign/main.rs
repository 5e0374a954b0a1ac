//! The bounds of a campaign, measured on the real parts: many small tasks through a pilot, against HyperQueue and against
//! bare MOPAC; a million waiting tasks; one interactive task. `cargo bench --bench campaign [-- SECTION…] [-- --scale 0.1]`.
//!
//! Prints each bound with its figure and judges nothing. Every section starts a daemon of its own.

#[path = "../../tests/it/harness/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the benchmark uses a part of the tests' harness")]
mod harness;

mod ground;
mod hyperqueue;
mod interactive;
mod mopac;
mod null;
mod waiting;

use ground::say;

/// How many of the tasks that a bound speaks of are run; 1 but for a try.
#[derive(Clone, Copy)]
struct Scale(f64);

impl Scale {
    fn of(self, tasks: u32) -> u32 {
        ((f64::from(tasks) * self.0) as u32).max(1)
    }
}

/// Its name, and what it does.
type Section = (&'static str, fn(Scale));

const SECTIONS: [Section; 5] = [
    ("null", null::run),
    ("hyperqueue", hyperqueue::run),
    ("mopac", mopac::run),
    ("waiting", waiting::run),
    ("interactive", interactive::run),
];

fn main() {
    // `cargo test --all-targets` runs benchmarks too; only `cargo bench` passes `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let scale = arguments.iter().position(|argument| argument == "--scale");
    let factor = scale.map(|at| arguments[at + 1].parse().expect("--scale takes a number")).unwrap_or(1.0);
    if factor != 1.0 {
        say(&format!("only {factor} of the tasks: a try, no measurement"));
    }
    let named: Vec<&String> = arguments
        .iter()
        .enumerate()
        .filter(|(at, argument)| !argument.starts_with('-') && scale.is_none_or(|scale| *at != scale + 1))
        .map(|(_, argument)| argument)
        .collect();
    for name in &named {
        assert!(
            SECTIONS.iter().any(|(section, _)| section == name),
            "the sections are {:?}",
            SECTIONS.map(|(name, _)| name)
        );
    }
    for (name, section) in SECTIONS {
        if named.is_empty() || named.iter().any(|wanted| *wanted == name) {
            say(&format!("== {name}"));
            section(Scale(factor));
        }
    }
}
