//! What the answers of the local API look like to people. Pure: a screen comes in, text goes out.

mod aside;
mod jobs;
mod predict;
mod records;
mod show;
mod status;

pub use aside::AsideList;
pub use jobs::JobList;
pub use predict::Predictions;

#[cfg(test)]
pub(super) use tests::job as sample_job;

#[cfg(test)]
mod tests;

/// A line `key   value` of a description, with the value cut to the screen.
fn field(text: &mut String, key: &str, value: &str) {
    if !value.is_empty() {
        text.push_str(&format!("{key:<14}{value}\n"));
    }
}
