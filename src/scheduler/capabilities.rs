//! What a probe learned of a scheduler: version, sizes, times, and which optional services there are. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::version::Version;

/// The numbers that an adapter's probe may fill in.
pub const NUMBERS: [&str; 4] =
    ["array_size_max", "message_timeout_seconds", "finished_kept_seconds", "kill_wait_seconds"];

/// What the probe learned; all empty before the first.
#[derive(Clone, Default, Debug)]
pub struct Capabilities {
    /// The scheduler's version.
    pub version: Option<Version>,
    /// The name it gives itself.
    pub cluster: Option<String>,
    /// Most elements that one array may have.
    pub array_size_max: Option<u32>,
    /// How long its own clients wait for an answer; our timeouts are a multiple of it.
    pub message_timeout: Option<Duration>,
    /// How long a finished job stays in the listing.
    pub finished_kept: Option<Duration>,
    /// Time between the terminating signal and the kill.
    pub kill_wait: Option<Duration>,
    /// Optional services by the adapter's own name for them (`accounting`); absent = not probed.
    pub services: BTreeMap<String, bool>,
    /// Names that the scheduler listed (columns of its accounting), by the adapter's name for the list.
    pub lists: BTreeMap<String, Vec<String>>,
    /// Words that the scheduler told (a unit, a product's name), by the adapter's name for them.
    pub texts: BTreeMap<String, String>,
}

impl Capabilities {
    /// Whether the optional service `name` is there. What was never probed is taken to be there.
    pub fn has(&self, name: &str) -> bool {
        self.services.get(name).copied().unwrap_or(true)
    }

    /// The text `name` as the scheduler told it; empty when it did not.
    pub fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }

    /// Sets one of [`NUMBERS`].
    pub fn set_number(&mut self, name: &str, number: u64) {
        let seconds = Some(Duration::from_secs(number));
        match name {
            "array_size_max" => self.array_size_max = Some(u32::try_from(number).unwrap_or(u32::MAX)),
            "message_timeout_seconds" => self.message_timeout = seconds,
            "finished_kept_seconds" => self.finished_kept = seconds,
            "kill_wait_seconds" => self.kill_wait = seconds,
            _ => {}
        }
    }
}
