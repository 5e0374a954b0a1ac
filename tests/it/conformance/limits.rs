//! Limits of queues on every simulated scheduler: told where the scheduler tells them, and learned from refusals elsewhere.

use std::time::Duration;

use qcbatch::model::limits;
use qcbatch::model::resources::JobResources;
use qcbatch::permit::WithoutLease;
use qcbatch::scheduler::{Refusal, SubmitAnswer};
use serde_json::json;

use super::ground::Ground;
use super::run;
use crate::harness::simulator::Dialect;

/// Each dialect, its usual queue, and what the scheduler tells of it.
const TOLD: [(Dialect, &str, &str); 6] = [
    (Dialect::Slurm, "main", "closed (DOWN), walltime 10 min"),
    (Dialect::Pbs, "workq", "walltime 10 min, arrays of 3, 4 jobs, 5 s from TERM to KILL"),
    (Dialect::Torque, "batch", "walltime 10 min, 4 jobs, 5 s from TERM to KILL"),
    (Dialect::Lsf, "normal", "walltime 10 min, 6 running"),
    (Dialect::Volclava, "normal", "walltime 10 min, 6 running"),
    (Dialect::Sge, "main", "walltime 10 min, 5 s from TERM to KILL"),
];

#[test]
fn limits_of_queues_are_told_as_each_scheduler_tells_them() {
    for (dialect, queue, told) in TOLD {
        let ground = Ground::simulated(dialect);
        let of_queue = json!({
            "array_size": 3, "submitted": 4, "running": 6, "walltime": 600, "kill_wait": 5, "state": "DOWN",
        });
        ground.mischief(&json!({"queue_limits": {queue: of_queue}}));
        run(async {
            let before = ground.simulator().all_calls();
            let errors = ground.scheduler.learn_limits().await;
            assert!(errors.is_empty(), "{dialect:?}: {errors:?}");
            let calls = ground.simulator().all_calls() - before;
            assert!(calls <= 3, "{dialect:?}: {calls} calls");
            let mut asks = JobResources::of_cores(1, Duration::from_secs(60));
            asks.queue = Some(queue.to_owned());
            let known = ground.scheduler.known_limits();
            assert_eq!(limits::allowed(&known, &asks).to_string(), told, "{dialect:?}");
            asks.queue = Some("another".to_owned());
            assert!(limits::allowed(&known, &asks).is_all(), "{dialect:?}: {known:?}");
        });
    }
}

#[test]
fn limits_of_a_quality_of_service_are_told() {
    let ground = Ground::simulated(Dialect::Slurm);
    ground.mischief(&json!({"qos_limits": {"debug": {"walltime": 7200, "submitted": 2, "running": 1}}}));
    run(async {
        assert!(ground.scheduler.learn_limits().await.is_empty());
        let mut asks = JobResources::of_cores(1, Duration::from_secs(60));
        asks.qos = Some("debug".to_owned());
        let known = ground.scheduler.known_limits();
        assert_eq!(limits::allowed(&known, &asks).to_string(), "walltime 2 h, 2 jobs, 1 running");
    });
}

/// A limit of a queue is never "refused for good", whatever it limits and whomever it names.
#[test]
fn what_a_queue_limits_is_refused_as_a_limit() {
    for (dialect, queue, _) in TOLD {
        for limit in ["array_size", "submitted"] {
            // Grid Engine's limits on jobs are the user's and the cluster's, and count arrays as one.
            if (dialect, limit) == (Dialect::Sge, "submitted") {
                continue;
            }
            let ground = Ground::simulated(dialect);
            let mischief = match (dialect, limit) {
                (Dialect::Sge, _) => json!({"array_size_max": 2}),
                _ => json!({"queue_limits": {queue: {limit: 2}}}),
            };
            ground.mischief(&mischief);
            run(async {
                let answer = ground.scheduler.submit(&ground.request(4, "true"), &WithoutLease).await;
                assert!(
                    matches!(answer, SubmitAnswer::Refused { kind: Refusal::Limit, .. }),
                    "{dialect:?} {limit}: {answer:?}"
                );
                ground.accepted(ground.scheduler.submit(&ground.request(2, "true"), &WithoutLease).await);
            });
        }
    }
}
