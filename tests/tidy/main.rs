//! Rules of structure that a compiler does not know: which room may use which, sizes, names, papers that tell the truth.
//! Each test lists every place that breaks its rule.

mod arrows;
mod clocks;
mod failures;
mod papers;
mod sizes;
mod source;
