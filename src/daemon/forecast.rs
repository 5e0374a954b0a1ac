//! What history says of tasks: three queries for a batch of them, then `plan::predict`.

use std::collections::{BTreeSet, HashMap};

use super::planner;
use super::pools::Pool;
use super::site::Site;
use crate::model::ids::{RecordId, TaskId};
use crate::model::runtime::Place;
use crate::plan::predict::{Expectation, Forecaster, expectation};
use crate::plan::retry::RanOut;
use crate::store::StoreError;
use crate::store::queue::Candidate;
use crate::store::staging::StagedTask;

/// A task of which something is to be expected.
pub struct Asked {
    task_id: TaskId,
    record_id: RecordId,
    cores: Option<u32>,
    /// Whether it ran before.
    again: bool,
}

impl Asked {
    /// A task of the queue.
    pub fn of(task: &Candidate) -> Asked {
        Asked {
            task_id: task.task_id,
            record_id: task.record_id,
            cores: task.resources.cores,
            again: task.attempt >= 0,
        }
    }

    /// A task that is about to be handed out.
    pub fn staged(task: &StagedTask) -> Asked {
        Asked {
            task_id: task.task_id,
            record_id: task.record_id,
            cores: task.resources.cores,
            again: task.attempt > 0,
        }
    }
}

/// What history says of `tasks` in `pool`.
pub async fn expectations(
    site: &Site,
    pool: &Pool,
    tasks: impl Iterator<Item = Asked>,
) -> Result<HashMap<TaskId, Expectation>, StoreError> {
    let tasks: HashMap<RecordId, Asked> = tasks.map(|task| (task.record_id, task)).collect();
    if tasks.is_empty() {
        return Ok(HashMap::new());
    }
    let records: Vec<RecordId> = tasks.keys().copied().collect();
    let again: Vec<RecordId> = tasks.values().filter(|task| task.again).map(|task| task.record_id).collect();
    let known = site.store.known_calculations(&records, &again).await?;
    let programs: BTreeSet<&String> = known.iter().map(|known| &known.key.program).collect();
    let history = site.store.runtime_history(&programs.into_iter().cloned().collect::<Vec<_>>()).await?;
    let mut forecaster = Forecaster::new(history);
    let (most, defaults) = (pool.shape().most(), planner::defaults(site).resources());
    let cores = site.config.defaults.cores;
    let mut place = Place { site: site.name().to_owned(), pool: pool.config.name.clone(), cores };
    let mut expectations = HashMap::with_capacity(tasks.len());
    for known in known.iter().filter(|known| known.key.is_calculated()) {
        let Some(task) = tasks.get(&known.record_id) else { continue };
        place.cores = task.cores.unwrap_or(cores);
        let prediction = forecaster.predict(&known.key, known.size, &place);
        let ran_out = RanOut::of(&known.earlier);
        let expected = Expectation { ran_out, ..expectation(&prediction, &most, &defaults) };
        expectations.insert(task.task_id, expected);
    }
    Ok(expectations)
}
