//! One suite of scenarios for every scheduler: simulated always, real where it is installed, live where the user has one.
//! A scheduler that is not there shows up as ignored tests under its name.

mod fidelity;
mod ground;
mod life;
mod trouble;
mod whole_way;

use std::sync::LazyLock;

use ground::Ground;

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

/// All scenarios for a simulated scheduler, and the whole way through the daemon.
macro_rules! simulated {
    ($module:ident, $dialect:expr, $blocking_reason:expr; $($more:ident)*) => {
        mod $module {
            use super::*;

            life! { &Ground::simulated($dialect);
                probe_and_limits single_job array exits cancel hold_and_release impossible_is_refused
            }
            simulated! { @trouble $dialect;
                f01_lost_answer_is_found_by_tag f07_unreadable_id_is_unclear f10_limit_is_not_failure
                f20_away_is_no_answer f21_torn_listing_is_invalid f23_forgotten_is_absent_not_ended f24_no_books
                f41_requeued_is_not_over f44_killed_at_its_walltime f47_killed_for_its_memory
                f52_ids_wrap f83_moved_to_another_queue suspended $($more)*
            }

            #[test]
            fn f46_never_starts_is_blocked() {
                let ground = Ground::simulated($dialect);
                run(trouble::f46_never_starts_is_blocked(&ground, $blocking_reason));
            }

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
    (@trouble $dialect:expr; $($scenario:ident)*) => {
        $(#[test]
        fn $scenario() {
            run(trouble::$scenario(&Ground::simulated($dialect)));
        })*
    };
}

simulated!(slurm_simulated, Dialect::Slurm, "PartitionTimeLimit"; f43_preempted);
// PBS has no such end: it puts preempted jobs back into the queue.
simulated!(pbs_simulated, Dialect::Pbs, "job held, too many failed attempts to run";);

mod slurm_real {
    use super::*;

    /// One cluster for all of them: it takes seconds to start. The harness's watcher ends it with this process.
    static SLURM: LazyLock<Ground> = LazyLock::new(Ground::real_slurm);

    life! { &SLURM; probe_and_limits single_job array exits cancel hold_and_release }

    // No other test may have a job there while this one looks.
    #[test]
    fn impossible_is_refused() {
        run(life::impossible_is_refused(&Ground::real_slurm()));
    }
}
