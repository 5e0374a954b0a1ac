//! Asks a scheduler for its version and settings, and keeps the answers for all later calls.

use super::adapter::messages::Verb;
use super::adapter::reading::Row;
use super::adapter::{Call, Probe};
use super::version::Version;
use super::{Capabilities, Scheduler, SchedulerError};

impl Scheduler {
    /// Probes and remembers: which variants, options, columns and services are used from here on, and how patiently.
    pub async fn probe(&self) -> Result<Capabilities, SchedulerError> {
        let mut learned = Capabilities::default();
        for probe in &self.inner.adapter.probe {
            let Some(call) = probe.call.choose(&learned) else { continue };
            match self.ask(call).await {
                Ok(rows) => {
                    prove(probe, &rows).map_err(|message| SchedulerError::Failed {
                        verb: Verb::Probe.as_str(),
                        argv: self.argv(call, &self.values()),
                        message,
                        class: None,
                    })?;
                    learn(&mut learned, probe, &rows);
                }
                Err(_) if call.optional => {}
                Err(error) => return Err(error),
            }
        }
        self.set_capabilities(learned.clone());
        Ok(learned)
    }

    async fn ask(&self, call: &Call) -> Result<Vec<Row>, SchedulerError> {
        let values = self.values();
        let output = self.query(Verb::Probe, call, &values).await?;
        let Some(reading) = &call.read else { return Ok(Vec::new()) };
        reading.rows(&output.stdout, &output.stderr, &call.columns).map_err(|error| SchedulerError::Failed {
            verb: Verb::Probe.as_str(),
            argv: self.argv(call, &values),
            message: error.to_string(),
            class: None,
        })
    }
}

/// A program of the right name may be another scheduler's: only its answer tells.
fn prove(probe: &Probe, rows: &[Row]) -> Result<(), String> {
    let (Some(what), Some(version)) = (&probe.proves, &probe.version) else { return Ok(()) };
    if rows.iter().any(|row| row.get(version).is_some_and(|text| Version::parse(text).is_some())) {
        return Ok(());
    }
    Err(format!("the program of this name that was found is not of {what}; put the right one first on PATH"))
}

pub(super) fn learn(learned: &mut Capabilities, probe: &Probe, rows: &[Row]) {
    let text = |field: &String| rows.iter().find_map(|row| row.get(field));
    if let Some(version) = probe.version.as_ref().and_then(text).and_then(Version::parse) {
        learned.version = Some(version);
    }
    if let Some(cluster) = probe.cluster.as_ref().and_then(text) {
        learned.cluster = Some(cluster.to_owned());
    }
    for (name, number) in &probe.numbers {
        if let Some(found) = text(&number.field).and_then(leading_number) {
            learned.set_number(name, found.saturating_sub(number.subtract).saturating_mul(number.times));
        }
    }
    for (name, field, absent) in &probe.services {
        let there = text(field).is_some_and(|text| !absent.is_match(text));
        learned.services.insert(name.clone(), there);
    }
    for (name, field) in &probe.texts {
        if let Some(found) = text(field) {
            learned.texts.insert(name.clone(), found.to_owned());
        }
    }
    for (name, field) in &probe.lists {
        let names: Vec<String> = rows.iter().filter_map(|row| row.get(field).map(str::to_owned)).collect();
        if !names.is_empty() {
            learned.lists.insert(name.clone(), names);
        }
    }
}

/// The number that a setting begins with (`10 sec`).
fn leading_number(text: &str) -> Option<u64> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
