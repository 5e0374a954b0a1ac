//! What the answers of the local API look like to people. Pure: a screen comes in, text goes out.

mod aside;
mod jobs;
mod predict;
mod records;
mod show;
mod status;

use crate::cli::table::printable;

pub use aside::AsideList;
pub use jobs::JobList;
pub use predict::Predictions;

#[cfg(test)]
pub(super) use tests::job as sample_job;

#[cfg(test)]
mod tests;

/// A line `key   value` of a description; nothing where there is no value.
fn field(text: &mut String, key: &str, value: &str) {
    if !value.is_empty() {
        text.push_str(&format!("{key:<14}{}\n", printable(value)));
    }
}
