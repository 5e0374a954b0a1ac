//! QCSchema's protocols (what a result keeps), reduced to what differs from the defaults. Pure.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `AtomicResultProtocols` (v1) and `AtomicProtocols` (v2): the same members and defaults.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AtomicProtocols {
    #[serde(default, rename = "schema_name")]
    _schema_name: IgnoredAny,
    wavefunction: Option<Wavefunction>,
    stdout: Option<bool>,
    error_correction: Option<ErrorCorrection>,
    native_files: Option<NativeFiles>,
}

#[derive(Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Wavefunction {
    All,
    OrbitalsAndEigenvalues,
    OccupationsAndEigenvalues,
    ReturnResults,
    None,
}

#[derive(Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum NativeFiles {
    All,
    Input,
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorCorrection {
    default_policy: Option<bool>,
    policies: Option<std::collections::BTreeMap<String, bool>>,
}

/// Which gradients an optimization keeps.
#[derive(Clone, Copy, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Trajectory {
    All,
    InitialAndFinal,
    Final,
    None,
}

/// Version 1's protocols of an optimization.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OptimizationProtocolsV1 {
    trajectory: Option<Trajectory>,
}

/// Version 2's, with another name and another default for the same thing.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OptimizationProtocolsV2 {
    #[serde(default, rename = "schema_name")]
    _schema_name: IgnoredAny,
    trajectory_results: Option<Trajectory>,
}

impl AtomicProtocols {
    /// Members that differ from the defaults.
    pub(super) fn reduced(&self) -> Map<String, Value> {
        let mut members = Map::new();
        if let Some(wavefunction) =
            self.wavefunction.filter(|wavefunction| *wavefunction != Wavefunction::None)
        {
            insert(&mut members, "wavefunction", wavefunction);
        }
        if self.stdout == Some(false) {
            insert(&mut members, "stdout", false);
        }
        let correction = self.error_correction.as_ref().map(ErrorCorrection::reduced);
        if let Some(correction) = correction.filter(|correction| !correction.is_empty()) {
            members.insert("error_correction".to_owned(), Value::Object(correction));
        }
        if let Some(native_files) =
            self.native_files.filter(|native_files| *native_files != NativeFiles::None)
        {
            insert(&mut members, "native_files", native_files);
        }
        members
    }
}

impl ErrorCorrection {
    fn reduced(&self) -> Map<String, Value> {
        let mut members = Map::new();
        if self.default_policy == Some(false) {
            insert(&mut members, "default_policy", false);
        }
        if let Some(policies) = &self.policies {
            insert(&mut members, "policies", policies);
        }
        members
    }
}

impl OptimizationProtocolsV1 {
    /// Members that differ from the defaults; the whole trajectory is kept by default.
    pub(super) fn reduced(&self) -> Map<String, Value> {
        trajectory(self.trajectory.unwrap_or(Trajectory::All))
    }
}

impl OptimizationProtocolsV2 {
    /// The same in version 1's words. Version 2 keeps nothing of the trajectory by default.
    pub(super) fn reduced(&self) -> Map<String, Value> {
        trajectory(self.trajectory_results.unwrap_or(Trajectory::None))
    }
}

fn trajectory(kept: Trajectory) -> Map<String, Value> {
    let mut members = Map::new();
    if kept != Trajectory::All {
        insert(&mut members, "trajectory", kept);
    }
    members
}

fn insert(members: &mut Map<String, Value>, key: &str, value: impl Serialize) {
    members.insert(key.to_owned(), serde_json::to_value(value).unwrap_or(Value::Null));
}
