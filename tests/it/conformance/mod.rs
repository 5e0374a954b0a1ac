//! One suite of scenarios for every scheduler: simulated always, real where it is installed, live where the user has one.
//! A scheduler that is not there is named as skipped in the output.

mod fidelity;
mod ground;
mod life;
mod limits;
mod live;
mod lsf;
mod odd;
mod slurm_refusals;
mod trouble;
mod whole_way;

use std::sync::LazyLock;

use ground::Ground;
use qcbatch::model::job::JobOutcome;
use qcbatch::permit::WithoutLease;
use qcbatch::scheduler::SchedulerState;

use crate::harness::gridengine;
use crate::harness::simulator::Dialect;

/// Runs a scenario on its own little executor.
fn run(scenario: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(scenario);
}

/// The scenarios of an ordinary life on one ground.
macro_rules! life {
    ($ground:expr; $($scenario:ident)*) => {
        $(#[test]
        fn $scenario() {
            run(life::$scenario($ground));
        })*
    };
}

/// All scenarios for a simulated scheduler.
macro_rules! simulated {
    ($module:ident, $dialect:expr, $blocking_reason:expr; $($more:ident)*) => {
        mod $module {
            use super::*;

            life! { &Ground::simulated($dialect);
                probe_and_limits single_job array exits cancel hold_and_release impossible_is_refused
            }
            simulated! { @trouble $dialect;
                f01_lost_answer_is_found_by_tag f07_unreadable_id_is_unclear f10_limit_is_not_failure
                f15_refusals_are_told_apart f16_tags_are_names_that_come_back_whole f20_away_is_no_answer
                f21_torn_listing_is_invalid f23_forgotten_is_absent_not_ended f24_no_books
                f40_as_many_calls_for_many_jobs_as_for_one f41_requeued_is_not_over f52_ids_wrap
                f83_moved_to_another_queue suspended $($more)*
            }

            #[test]
            fn f19_killed_client_is_found_by_tag() {
                run(trouble::f19_killed_client_is_found_by_tag(&Ground::impatient($dialect)));
            }

            #[test]
            fn f46_never_starts_is_blocked() {
                let ground = Ground::simulated($dialect);
                run(trouble::f46_never_starts_is_blocked(&ground, $blocking_reason));
            }
        }
    };
    (@trouble $dialect:expr; $($scenario:ident)*) => {
        $(#[test]
        fn $scenario() {
            run(trouble::$scenario(&Ground::simulated($dialect)));
        })*
    };
}

/// The whole way through the daemon.
macro_rules! whole_way {
    ($module:ident, $dialect:expr) => {
        mod $module {
            use super::*;

            #[test]
            fn f01_f02_lost_answer_is_adopted_once() {
                whole_way::lost_answer_is_adopted($dialect);
            }

            #[test]
            fn f20_f21_empty_half_or_no_list_changes_nothing() {
                whole_way::bad_lists_change_nothing($dialect);
            }

            #[test]
            fn f23_f122_evidence_settles_forgotten_jobs() {
                whole_way::evidence_settles_forgotten_jobs($dialect);
            }
        }
    };
}

simulated!(slurm_simulated, Dialect::Slurm, "PartitionTimeLimit";
    warned_before_its_walltime f43_preempted f44_killed_at_its_walltime f47_killed_for_its_memory
    f87_gone_from_the_list_and_in_the_books f88_what_ended_is_listed);
// PBS has no such end as "preempted": it puts preempted jobs back into the queue.
simulated!(pbs_simulated, Dialect::Pbs, "job held, too many failed attempts to run";
    f44_killed_at_its_walltime f47_killed_for_its_memory);
simulated!(lsf_simulated, Dialect::Lsf, "Dependency condition invalid or never satisfied;";
    warned_before_its_walltime f43_preempted f44_killed_at_its_walltime f47_killed_for_its_memory
    f87_gone_from_the_list_and_in_the_books f88_what_ended_is_listed);
// volclava never kills for the walltime, gives no reasons, and shows only suspended jobs as such that wait for ever.
simulated!(volclava_simulated, Dialect::Volclava, "";
    f47_killed_for_its_memory f87_gone_from_the_list_and_in_the_books f88_what_ended_is_listed);
// Torque has no such end either, and no books: what ended stays listed for a while.
simulated!(torque_simulated, Dialect::Torque, "Not Running: job held by an operator";
    f44_killed_at_its_walltime f47_killed_for_its_memory f88_what_ended_is_listed);
// Grid Engine does not tell who killed a job, nor for what, but for its walltime and its memory.
simulated!(sge_simulated, Dialect::Sge, "Eqw";
    f44_killed_at_its_walltime f47_killed_for_its_memory f95_books_come_later_than_the_end f96_error_state_is_blocked);

// volclava differs from LSF in what it is asked, not in what the daemon makes of the answers.
whole_way!(slurm_whole_way, Dialect::Slurm);
whole_way!(pbs_whole_way, Dialect::Pbs);
whole_way!(torque_whole_way, Dialect::Torque);
whole_way!(lsf_whole_way, Dialect::Lsf);
whole_way!(sge_whole_way, Dialect::Sge);

mod slurm_real {
    use super::*;

    /// One cluster for all of them: it takes seconds to start. The harness's watcher ends it with this process.
    static SLURM: LazyLock<Ground> = LazyLock::new(Ground::real_slurm);

    life! { &SLURM;
        probe_and_limits single_job array exits cancel hold_and_release impossible_is_refused
    }

    /// Accepted, and no node will ever take it: shown as such, with the reason.
    #[test]
    fn f09_accepted_and_never_starting_is_blocked() {
        run(async {
            let request = SLURM.request_with(1, "true", |resources| {
                resources.walltime = std::time::Duration::from_secs(1_000_000);
            });
            let id = SLURM.accepted(SLURM.scheduler.submit(&request, &WithoutLease).await);
            let job = SLURM.until(&id, "blocked", |job| job.state == SchedulerState::Blocked).await;
            // Which of the two Slurm says first is its own affair; both mean never.
            let reason = job.reason.as_deref().unwrap_or_default();
            assert!(["PartitionTimeLimit", "PartitionConfig"].contains(&reason), "{reason}");
            SLURM.scheduler.cancel(std::slice::from_ref(&id), &WithoutLease).await.unwrap();
            SLURM.cancelled(&id).await;
        });
    }
}

mod gridengine_real {
    use super::*;

    /// One cell for all of them, as with Slurm; none where it is not installed, which the output says.
    static CELL: LazyLock<Option<Ground>> =
        LazyLock::new(|| gridengine::installed("conformance on Grid Engine").then(Ground::real_gridengine));

    macro_rules! life_in_the_cell {
        ($($scenario:ident)*) => {
            $(#[test]
            fn $scenario() {
                if let Some(ground) = &*CELL {
                    run(life::$scenario(ground));
                }
            })*
        };
    }

    /// F47: processes of one job that together take more than it asked for.
    #[test]
    fn f47_killed_for_its_memory_by_a_real_one() {
        let Some(ground) = &*CELL else { return };
        let body = "for i in 1 2 3 4 5; do python3 -c 'import time; held = bytearray(60 << 20); time.sleep(60)' & done; wait";
        killed(ground, body, 60, JobOutcome::Memory);
    }

    /// F44: the books have the same number for it, and less memory than the job asked for.
    #[test]
    fn f44_killed_at_its_walltime_by_a_real_one() {
        let Some(ground) = &*CELL else { return };
        killed(ground, "trap '' USR2; while :; do sleep 0.1; done", 2, JobOutcome::Walltime);
    }

    fn killed(ground: &Ground, body: &str, seconds: u64, expected: JobOutcome) {
        run(async {
            let request = ground.request_with(1, body, |resources| {
                resources.memory_bytes = Some(150 << 20);
                resources.walltime = std::time::Duration::from_secs(seconds);
            });
            let id = ground.accepted(ground.scheduler.submit(&request, &WithoutLease).await);
            assert_eq!(ground.end(&id).await.0, expected);
        });
    }

    life_in_the_cell! { probe_and_limits single_job array exits cancel hold_and_release impossible_is_refused }
}
