//! The Slurm adapter against a real controller, named by `SLURM_CONF`. Cancels what it submits.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use qcbatch::model::ids::{SchedulerJobId, Tag};
use qcbatch::model::job::JobOutcome;
use qcbatch::scheduler::{
    Adapter, FindAnswer, JobSighting, PollAnswer, PostMortemAnswer, Refusal, Scheduler, SchedulerState,
    Settings, SubmitAnswer, SubmitRequest,
};

use crate::support::{request, resources};

struct Live {
    directory: tempfile::TempDir,
    scheduler: Scheduler,
}

impl Live {
    fn new() -> Live {
        let settings = Settings::of_this_process("/nonexistent".into(), "/nonexistent".into(), 1);
        Live {
            directory: tempfile::tempdir().unwrap(),
            scheduler: Scheduler::new(Adapter::load("slurm", &[]).unwrap(), settings),
        }
    }

    fn request(&self, tag: u128, array_size: u32, body: &str) -> SubmitRequest {
        let mut request = request(self.directory.path().to_str().unwrap(), array_size);
        let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap();
        request.tag = Tag::new(now, tag);
        request.resources = resources();
        request.resources.cores = 1;
        request.resources.memory_bytes = None;
        request.resources.walltime = Duration::from_secs(300);
        request.script = self.directory.path().join(format!("job{tag}.sh"));
        let mut script = "#!/bin/bash\n".to_owned();
        for line in self.scheduler.directives(&request).unwrap() {
            script.push_str(&line);
            script.push('\n');
        }
        script.push_str(body);
        std::fs::write(&request.script, script + "\n").unwrap();
        request
    }

    async fn submit(&self, request: &SubmitRequest) -> SchedulerJobId {
        match self.scheduler.submit(request).await {
            SubmitAnswer::Accepted { scheduler_job_id } => scheduler_job_id,
            other => panic!("{other:?}"),
        }
    }

    async fn job(&self, id: &SchedulerJobId) -> JobSighting {
        match self.scheduler.poll().await {
            PollAnswer::Valid { jobs, .. } => {
                jobs.get(id).cloned().unwrap_or_else(|| panic!("{id} is not listed: {jobs:?}"))
            }
            PollAnswer::Invalid { message } => panic!("{message}"),
        }
    }

    async fn until(&self, id: &SchedulerJobId, wanted: impl Fn(&JobSighting) -> bool) -> JobSighting {
        loop {
            let job = self.job(id).await;
            if wanted(&job) {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}

fn ended(job: &JobSighting) -> Option<JobOutcome> {
    match job.state {
        SchedulerState::Ended { outcome, .. } => Some(outcome),
        _ => None,
    }
}

#[tokio::test]
#[ignore = "needs a Slurm controller of one's own, named by SLURM_CONF"]
async fn a_job_from_submit_to_end() {
    let live = Live::new();
    let learned = live.scheduler.probe().await.unwrap();
    assert!(
        learned.version.is_some() && learned.message_timeout.is_some() && learned.array_size_max.is_some()
    );
    live.scheduler.alive().await.unwrap();
    let since = Timestamp::now() - jiff::SignedDuration::from_mins(5);

    let array =
        live.request(1, 3, "echo \"$SLURM_ARRAY_TASK_ID $SLURM_EXPORT_ENV $PWD\"; exit $SLURM_ARRAY_TASK_ID");
    assert_eq!(live.scheduler.find_by_tag(&array.tag, since).await, FindAnswer::NotKnown);
    let id = live.submit(&array).await;
    assert_eq!(live.scheduler.find_by_tag(&array.tag, since).await, FindAnswer::Known(vec![id.clone()]));
    for index in 0..3 {
        let element = live.scheduler.element_id(&id, index, 3);
        let job = live.until(&element, |job| ended(job).is_some()).await;
        let expected = if index == 0 { JobOutcome::Completed } else { JobOutcome::Failed };
        assert_eq!(ended(&job), Some(expected), "{job:?}");
        let log =
            std::fs::read_to_string(live.directory.path().join(format!("scheduler-{index}.log"))).unwrap();
        assert!(
            log.starts_with(&format!("{index} ")) && log.contains(live.directory.path().to_str().unwrap()),
            "{log}"
        );
    }
    let books = live.scheduler.post_mortem(&[id]).await;
    assert_eq!(learned.has("accounting"), books != PostMortemAnswer::Unavailable);
}

#[tokio::test]
#[ignore = "needs a Slurm controller of one's own, named by SLURM_CONF"]
async fn hold_release_cancel() {
    let live = Live::new();
    let mut request = live.request(2, 1, "sleep 300");
    request.resources.extra = vec!["--begin=now+3600".into()];
    let lines = live.scheduler.directives(&request).unwrap().join("\n");
    std::fs::write(&request.script, format!("#!/bin/bash\n{lines}\nsleep 300\n")).unwrap();
    let id = live.submit(&request).await;
    let job = live.until(&id, |job| job.reason.as_deref() == Some("BeginTime")).await;
    assert!(job.state == SchedulerState::Queued && job.expected_start_on.is_some(), "{job:?}");
    live.scheduler.hold(std::slice::from_ref(&id)).await.unwrap();
    live.until(&id, |job| job.state == SchedulerState::Blocked).await;
    live.scheduler.release(std::slice::from_ref(&id)).await.unwrap();
    live.until(&id, |job| job.state == SchedulerState::Queued).await;
    let array = live.request(3, 2, "sleep 300");
    let running = live.submit(&array).await;
    let element = live.scheduler.element_id(&running, 1, 2);
    live.until(&element, |job| job.state == SchedulerState::Running && job.started_on.is_some()).await;
    let unknown = SchedulerJobId("999999".into());
    live.scheduler.cancel(&[id.clone(), element.clone(), unknown]).await.unwrap();
    for one in [&id, &element] {
        live.until(one, |job| ended(job) == Some(JobOutcome::Cancelled)).await;
    }
    let other = live.scheduler.element_id(&running, 0, 2);
    assert_eq!(live.job(&other).await.state, SchedulerState::Running);
    live.scheduler.cancel(&[running]).await.unwrap();
    live.until(&other, |job| ended(job) == Some(JobOutcome::Cancelled)).await;
}

#[tokio::test]
#[ignore = "needs a Slurm controller of one's own, named by SLURM_CONF"]
async fn what_can_never_run_is_refused_or_blocked() {
    let live = Live::new();
    let mut request = live.request(4, 1, "true");
    request.resources.queue = Some("nosuch".into());
    let answer = live.scheduler.submit(&request).await;
    assert!(matches!(answer, SubmitAnswer::Refused { kind: Refusal::Permanent, .. }), "{answer:?}");
    request.resources.queue = None;
    request.script = Path::new("/nonexistent/job.sh").to_owned();
    let answer = live.scheduler.submit(&request).await;
    assert!(matches!(answer, SubmitAnswer::Refused { kind: Refusal::Permanent, .. }), "{answer:?}");
    let mut long = live.request(5, 1, "true");
    long.resources.walltime = Duration::from_secs(1_000_000);
    let id = live.submit(&long).await;
    let job = live.until(&id, |job| job.state == SchedulerState::Blocked).await;
    assert!(job.reason.as_deref().is_some_and(|reason| reason.starts_with("Partition")), "{job:?}");
    live.scheduler.cancel(&[id]).await.unwrap();
}

#[tokio::test]
#[ignore = "needs a Slurm controller of one's own, named by SLURM_CONF"]
async fn the_base_script_hands_a_cancel_on_and_knows_its_job() {
    let live = Live::new();
    let root = live.directory.path();
    let runner = "#!/bin/bash\ntrap 'echo TERM >> \"$2/seen\"; exit 0' TERM\necho \"$QCBATCH_SCHEDULER_JOB_ID $TMPDIR $LC_ALL\" > \"$2/seen\"\nwhile :; do sleep 0.1; done\n";
    let program = root.join("qcbatch");
    std::fs::write(&program, runner).unwrap();
    crate::support::make_executable(&program);
    let request = live.request(6, 2, "");
    let mut input = crate::scripts::script_input(&live.scheduler, &request);
    input.program = program;
    let script =
        qcbatch::jobscript::render(&input, &qcbatch::jobscript::TemplateSet::load(&[]).unwrap()).unwrap();
    std::fs::write(&request.script, script).unwrap();
    for index in ["0", "1"] {
        std::fs::create_dir(root.join(index)).unwrap();
    }
    let id = live.submit(&request).await;
    let seen =
        |index: u32| std::fs::read_to_string(root.join(index.to_string()).join("seen")).unwrap_or_default();
    for index in 0..2 {
        while !seen(index).ends_with('\n') {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let element = live.scheduler.element_id(&id, index, 2);
        assert!(
            seen(index).starts_with(&format!("{element} /tmp/qcbatch.")) && seen(index).contains(" C\n"),
            "{}",
            seen(index)
        );
    }
    live.scheduler.cancel(std::slice::from_ref(&id)).await.unwrap();
    for index in 0..2 {
        let element = live.scheduler.element_id(&id, index, 2);
        live.until(&element, |job| ended(job).is_some()).await;
        assert!(seen(index).ends_with("TERM\n"), "{}", seen(index));
        assert!(!root.join(index.to_string()).join("end.json").exists());
    }
}
