//! From checked calculations to what the store takes in: the configured defaults where a submission does not say.
//! Shared by `POST /v1/submit` and the inbox.

use std::io;
use std::path::Path;

use super::error::ApiError;
use crate::api::wire::{ComputePriority, ErrorCode, Problem, Reuse, SubmitOptions, SubmitReceipt};
use crate::config::{self, Config};
use crate::failpoint::{self, FailPoint};
use crate::intake::{Batches, Inputs, IntakeError, ReadOptions};
use crate::model::calculation::Calculation;
use crate::model::ids::{COMPUTE_TAG_RULE, PoolName, is_compute_tag};
use crate::model::json_size::DocumentLimits;
use crate::model::qcschema::InputDefaults;
use crate::model::resources::TaskResources;
use crate::model::task::Placement;
use crate::plan::fit::Demand;
use crate::spool::foreign::open_foreign;
use crate::store::intake::{self as store_intake, Intake, NewRecord, Novelty};
use crate::store::{StoreError, Writer};

/// Documents stored together.
const BATCH: usize = 1000;

/// A batch is also full at so many bytes.
const BATCH_BYTES: usize = 8 << 20;

/// Problems told at once.
const MOST_PROBLEMS: usize = 20;

/// How every record of a submission is to be run.
#[derive(Clone, Debug)]
pub(super) struct RecordRequest {
    compute_tag: String,
    compute_priority: ComputePriority,
    pool: Option<PoolName>,
    resources: TaskResources,
    /// The same with the configuration's defaults: by them pools are chosen.
    completed: TaskResources,
    placement: Placement,
    reuse: store_intake::Reuse,
    owner_user: String,
}

impl RecordRequest {
    /// The options with the configuration's defaults. A pool that is not configured is refused.
    pub(super) fn new(
        options: &SubmitOptions,
        config: &Config,
        owner_user: String,
    ) -> Result<RecordRequest, ApiError> {
        let defaults = &config.defaults;
        let pool = options.pool.clone().or_else(|| defaults.pool.clone());
        if let Some(asked) = pool.as_ref().filter(|asked| config.pool(asked).is_none()) {
            let known: Vec<String> = config.pools.iter().map(|pool| format!("`{}`", pool.name)).collect();
            return Err(ApiError::new(
                ErrorCode::NotFound,
                format!("there is no pool `{asked}`; the pools are {}", known.join(", ")),
            ));
        }
        let compute_tag = options.compute_tag.as_ref().unwrap_or(&defaults.compute_tag);
        if !is_compute_tag(compute_tag) {
            return Err(ApiError::new(
                ErrorCode::BadInput,
                format!("the compute tag {compute_tag:?} is not {COMPUTE_TAG_RULE}"),
            ));
        }
        Ok(RecordRequest {
            compute_tag: compute_tag.clone(),
            compute_priority: options.compute_priority.unwrap_or(match defaults.compute_priority {
                config::ComputePriority::Low => ComputePriority::Low,
                config::ComputePriority::Normal => ComputePriority::Normal,
                config::ComputePriority::High => ComputePriority::High,
            }),
            pool,
            completed: defaults.complete(&options.resources),
            resources: options.resources.clone(),
            placement: options.placement,
            reuse: match options.reuse {
                Reuse::Existing => store_intake::Reuse::FindExisting,
                Reuse::Never => store_intake::Reuse::AlwaysNew,
            },
            owner_user,
        })
    }

    /// The memory that the submission itself asks for.
    pub(super) fn memory_asked(&self) -> Option<u64> {
        self.resources.memory_bytes
    }

    /// What a task of it that needs `required_programs` demands of a pool.
    pub(super) fn demand<'a>(&'a self, required_programs: &'a [String]) -> Demand<'a> {
        Demand {
            required_programs,
            compute_tag: &self.compute_tag,
            pool: self.pool.as_ref(),
            asks: &self.completed,
        }
    }

    /// The records of a batch.
    pub(super) fn records(&self, calculations: Vec<Calculation>) -> Vec<NewRecord> {
        let record = |calculation| NewRecord {
            calculation,
            compute_tag: self.compute_tag.clone(),
            compute_priority: self.compute_priority.number(),
            pool: self.pool.clone(),
            resources: self.resources.clone(),
            placement: self.placement,
            reuse: self.reuse,
            owner_user: self.owner_user.clone(),
        };
        calculations.into_iter().map(record).collect()
    }
}

/// Why a file was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum IntakeProblem {
    /// It is wrong; it will be as wrong tomorrow.
    #[error("{message}")]
    Refused {
        /// A summary.
        message: String,
        /// The first twenty problems.
        problems: Vec<Problem>,
    },
    /// It cannot be read for now.
    #[error("cannot read the file")]
    Read(#[source] io::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes one file in as `qcbatch submit FILE` would, with nothing but the configured defaults: whole or not at all.
pub async fn take_in_file(
    writer: &Writer,
    config: &Config,
    file: &Path,
) -> Result<SubmitReceipt, IntakeProblem> {
    let owner_user = super::peer::own_user_name();
    let request = RecordRequest::new(&SubmitOptions::default(), config, owner_user).map_err(|error| {
        IntakeProblem::Refused { message: error.message().to_owned(), problems: Vec::new() }
    })?;
    let path = file.to_owned();
    let mut batches = tokio::task::spawn_blocking(move || {
        // It was looked at a moment ago, and may be something else by now.
        let (file, _) = open_foreign(&path).map_err(|error| IntakeProblem::Read(io::Error::other(error)))?;
        let inputs = Inputs::of_file(&path, file, &ReadOptions::default()).map_err(refused)?;
        Ok::<_, IntakeProblem>(Batches::new(inputs, BATCH, BATCH_BYTES))
    })
    .await
    .map_err(stopped)??;
    let limits = super::submit::document_limits(config);
    let mut receipt = SubmitReceipt::default();
    let mut intake: Option<Intake> = None;
    loop {
        let (rest, read) =
            tokio::task::spawn_blocking(move || next_batch(batches, limits)).await.map_err(stopped)?;
        batches = rest;
        let calculations = match read {
            Ok(Some(calculations)) => calculations,
            Ok(None) => break,
            Err(problem) => {
                if let Some(open) = intake {
                    open.roll_back().await?;
                }
                return Err(problem);
            }
        };
        let open = match &mut intake {
            Some(open) => open,
            none => none.insert(writer.begin_intake_within(config.intake.wait).await?),
        };
        for added in open.add(request.records(calculations)).await? {
            if added.novelty == Novelty::Existing {
                receipt.existing.push(receipt.ids.len());
            }
            receipt.ids.push(added.record_id);
        }
    }
    let Some(open) = intake else {
        return Err(IntakeProblem::Refused {
            message: "there is no document in it".to_owned(),
            problems: Vec::new(),
        });
    };
    open.commit().await?;
    failpoint::hit(FailPoint::RecordsStored);
    Ok(receipt)
}

type FileBatches = Batches<Inputs>;

/// The calculations of the next batch, or the problems of it and of what follows.
fn next_batch(
    mut batches: FileBatches,
    limits: DocumentLimits,
) -> (FileBatches, Result<Option<Vec<Calculation>>, IntakeProblem>) {
    let defaults = InputDefaults::default();
    let (mut calculations, mut problems) = (Vec::new(), Vec::new());
    while problems.len() < MOST_PROBLEMS {
        let batch = match batches.next() {
            None => break,
            Some(Ok(batch)) => batch,
            Some(Err(error)) => {
                match refused(error) {
                    IntakeProblem::Refused { problems: found, .. } => problems.extend(found),
                    other => return (batches, Err(other)),
                }
                break;
            }
        };
        for document in batch {
            match document.calculation_within(&defaults, limits) {
                Ok(calculation) => calculations.push(calculation),
                Err(error) => problems.extend(Problem::of_intake(&error)),
            }
        }
        // Once something is wrong, what follows is only looked through for more of it.
        if problems.is_empty() {
            return (batches, Ok(Some(calculations)));
        }
        calculations.clear();
    }
    if problems.is_empty() {
        return (batches, Ok(None));
    }
    problems.truncate(MOST_PROBLEMS);
    let message = super::error::refusal_message(problems.len(), MOST_PROBLEMS);
    (batches, Err(IntakeProblem::Refused { message, problems }))
}

fn refused(error: IntakeError) -> IntakeProblem {
    match error {
        IntakeError::Read { cause, .. } => IntakeProblem::Read(cause),
        other => IntakeProblem::Refused {
            message: super::error::refusal_message(1, MOST_PROBLEMS),
            problems: Problem::of_intake(&other).into_iter().collect(),
        },
    }
}

fn stopped(error: tokio::task::JoinError) -> IntakeProblem {
    IntakeProblem::Read(io::Error::other(error))
}
