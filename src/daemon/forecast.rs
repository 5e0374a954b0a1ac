//! What history says of tasks: three queries for a batch of them, then `plan::predict`.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::planner;
use super::pools::Pool;
use super::site::Site;
use crate::model::ids::{RecordId, TaskId};
use crate::model::runtime::Place;
use crate::model::timing::is_synthetic;
use crate::plan::predict::{Expectation, Forecaster, expectation};
use crate::plan::retry::RanOut;
use crate::store::StoreError;
use crate::store::queue::Candidate;
use crate::store::staging::StagedTask;

/// What history said is good for so long.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// What history said a moment ago: while tasks wait, the planner looks at the same ones with every pass.
#[derive(Default)]
pub struct Remembered {
    since: Option<Instant>,
    tasks: HashMap<TaskId, (i32, Expectation)>,
}

impl Remembered {
    /// Asks about those of `tasks` that are new or were handed out meanwhile, and forgets all others.
    pub async fn refresh(&mut self, site: &Site, pool: &Pool, tasks: &[Candidate]) -> Result<(), StoreError> {
        let mut known = std::mem::take(&mut self.tasks);
        if self.since.is_none_or(|since| since.elapsed() >= GOOD_FOR) {
            known.clear();
            self.since = Some(Instant::now());
        }
        let (mut asked, mut attempts) = (Vec::new(), HashMap::new());
        for task in tasks {
            let Some(question) = Asked::of(task) else { continue };
            match known.remove(&task.task_id).filter(|(attempt, _)| *attempt == task.attempt) {
                Some(expectation) => _ = self.tasks.insert(task.task_id, expectation),
                None => {
                    asked.push(question);
                    attempts.insert(task.task_id, task.attempt);
                }
            }
        }
        let expected = expectations(site, pool, asked.into_iter()).await?;
        self.tasks.extend(attempts.into_iter().map(|(task_id, attempt)| {
            (task_id, (attempt, expected.get(&task_id).copied().unwrap_or_default()))
        }));
        Ok(())
    }

    /// What is to be expected of a task that was asked about.
    pub fn of(&self, task: &Candidate) -> Expectation {
        self.tasks.get(&task.task_id).map(|(_, expectation)| *expectation).unwrap_or_default()
    }
}

/// A task of which something is to be expected.
pub struct Asked {
    task_id: TaskId,
    record_id: RecordId,
    cores: Option<u32>,
    /// Whether it ran before.
    again: bool,
}

impl Asked {
    /// One of the queue; nothing is to be expected of one that the node runner answers itself.
    fn of(task: &Candidate) -> Option<Asked> {
        (!task.required_program.as_deref().is_some_and(is_synthetic)).then_some(Asked {
            task_id: task.task_id,
            record_id: task.record_id,
            cores: task.resources.cores,
            again: task.attempt >= 0,
        })
    }

    /// The same of a task that is about to be handed out.
    pub fn staged(task: &StagedTask) -> Option<Asked> {
        (!is_synthetic(&task.calculation.specification.qc().program)).then_some(Asked {
            task_id: task.task_id,
            record_id: task.record_id,
            cores: task.resources.cores,
            again: task.attempt > 0,
        })
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
    let (most, defaults) = (pool.shape().most(), planner::defaults(site, pool).resources());
    let cores = site.config.defaults.cores;
    let mut place = Place { site: site.name().to_owned(), pool: pool.config.name.clone(), cores };
    let mut expectations = HashMap::with_capacity(tasks.len());
    for known in &known {
        let Some(task) = tasks.get(&known.record_id) else { continue };
        place.cores = task.cores.unwrap_or(cores);
        let prediction = forecaster.predict(&known.key, known.size, &place);
        let ran_out = RanOut::of(&known.earlier);
        let expected = Expectation { ran_out, ..expectation(&prediction, &most, &defaults) };
        expectations.insert(task.task_id, expected);
    }
    Ok(expectations)
}
