//! What a real Slurm refuses: by a site's own plugin, for its number of jobs, for a partition that takes none.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use qcbatch::model::limits;
use qcbatch::permit::WithoutLease;
use qcbatch::scheduler::{Refusal, SubmitAnswer};

use super::ground::Ground;
use super::run;
use crate::harness::SlurmOptions;

/// A site's policy, in the words and the way of many.
const POLICY: &str = "
function slurm_job_submit(job_desc, part_list, submit_uid)
    if job_desc.comment == 'refuse' then
        slurm.log_user('Your project has no hours left')
        return slurm.ERROR
    elseif job_desc.comment == 'number' then
        return 1
    end
    return slurm.SUCCESS
end
function slurm_job_modify(job_desc, job_rec, part_list, modify_uid)
    return slurm.SUCCESS
end
return slurm.SUCCESS
";

/// One cluster for all of them, with room for three jobs.
static SLURM: LazyLock<Ground> = LazyLock::new(|| {
    Ground::real_slurm_with(SlurmOptions {
        more: "JobSubmitPlugins=lua\nMaxJobCount=3\nPartitionName=shut Nodes=ALL MaxTime=10 State=INACTIVE\n",
        job_submit: Some(POLICY),
        min_job_age_seconds: 2,
        ..SlurmOptions::default()
    })
});

async fn submit(change: impl FnOnce(&mut qcbatch::model::resources::JobResources)) -> SubmitAnswer {
    SLURM.scheduler.submit(&SLURM.request_with(1, "sleep 600", change), &WithoutLease).await
}

#[test]
fn a_site_refuses_with_words_or_numbers_of_its_own_and_a_full_queue_holds_nobody_up() {
    run(async {
        let commented = |word: &str| {
            let line = format!("--comment={word}");
            move |resources: &mut qcbatch::model::resources::JobResources| resources.extra.push(line)
        };
        for word in ["refuse", "number"] {
            let answer = submit(commented(word)).await;
            assert!(
                matches!(answer, SubmitAnswer::Refused { kind: Refusal::Permanent, .. }),
                "{word}: {answer:?}"
            );
        }
        let shut = submit(|resources| resources.queue = Some("shut".to_owned())).await;
        assert!(matches!(shut, SubmitAnswer::Refused { kind: Refusal::Transient, .. }), "{shut:?}");
        assert!(SLURM.listing().await.is_empty(), "nothing was taken");
        // The partition says so itself.
        assert!(SLURM.scheduler.learn_limits().await.is_empty());
        let request = SLURM.request_with(1, "true", |resources| resources.queue = Some("shut".to_owned()));
        let allowed = limits::allowed(&SLURM.scheduler.known_limits(), &request.resources);
        assert_eq!(allowed.to_string(), "closed (INACTIVE), walltime 10 min");
        // sbatch would sleep for two minutes between fifteen more tries.
        let mut ids = Vec::new();
        let refused = loop {
            let began = Instant::now();
            match submit(|_| {}).await {
                SubmitAnswer::Accepted { scheduler_job_id } => ids.push(scheduler_job_id),
                other => break (other, began.elapsed()),
            }
        };
        assert!(
            matches!(
                &refused.0,
                SubmitAnswer::Refused { kind: Refusal::Limit, .. } | SubmitAnswer::Unclear { .. }
            ),
            "{refused:?}"
        );
        assert!(refused.1 < Duration::from_secs(60), "{refused:?}");
        assert_eq!(SLURM.listing().await.len(), ids.len(), "none was taken behind our back");
        SLURM.scheduler.cancel(&ids, &WithoutLease).await.unwrap();
    });
}
