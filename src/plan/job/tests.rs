//! The promises of `plan::job`: evidence outranks the scheduler, absence is not an end, every job ends some day.

use proptest::prelude::*;

use super::*;

const PATIENCE: Patience = Patience {
    submit_grace: Duration::from_secs(60),
    evidence_grace: Duration::from_secs(30),
    missing_grace: Duration::from_secs(300),
};

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A job that was queued 1000 s ago.
fn running() -> KnownJob {
    KnownJob {
        state: JobState::Running,
        queued_ago: Some(seconds(1000)),
        missing_for: None,
        missing_polls: 0,
        cancel_requested: false,
        beat: 3,
        beat_ago: None,
        results_offset: 0,
    }
}

fn finished(results_bytes: u64) -> Evidence {
    Evidence {
        started: true,
        beat: 9,
        end: Some(EndEvidence { reason: EndReason::Done, exit_code: 0, results_bytes: Some(results_bytes) }),
    }
}

fn missing(seconds_long: u64, missing_polls: u32) -> KnownJob {
    KnownJob { missing_for: Some(seconds(seconds_long)), missing_polls, ..running() }
}

fn step(job: &KnownJob, sighting: Sighting, evidence: Evidence) -> JobStep {
    next_step(job, &sighting, &evidence, &Accounting::Silent, PATIENCE)
}

fn failed() -> Ending {
    Ending { outcome: JobOutcome::Failed, exit_code: Some(1), signal: None }
}

#[test]
fn not_listed_is_not_finished() {
    assert_eq!(step(&running(), Sighting::NotListed, Evidence::default()), JobStep::CountMissing);
    assert_eq!(step(&missing(299, 5), Sighting::NotListed, Evidence::default()), JobStep::CountMissing);
    let lost = step(&missing(300, 5), Sighting::NotListed, Evidence::default());
    assert!(matches!(lost, JobStep::End(Ending { outcome: JobOutcome::Lost, .. })));
}

#[test]
fn a_job_that_beats_is_not_lost() {
    let beating = Evidence { started: true, beat: 4, end: None };
    assert_eq!(step(&missing(1000, 9), Sighting::NotListed, beating), JobStep::CountMissing);
    let beat = |ago| KnownJob { beat_ago: Some(seconds(ago)), ..missing(1000, 9) };
    assert_eq!(step(&beat(100), Sighting::NotListed, Evidence::default()), JobStep::CountMissing);
    assert!(matches!(step(&beat(300), Sighting::NotListed, Evidence::default()), JobStep::End(_)));
}

#[test]
fn a_poll_that_was_not_believed_changes_nothing() {
    assert_eq!(step(&running(), Sighting::NotAsked, Evidence::default()), JobStep::Keep);
}

#[test]
fn a_job_just_submitted_may_be_invisible() {
    let queued =
        |ago| KnownJob { state: JobState::Queued, queued_ago: Some(seconds(ago)), beat: 0, ..running() };
    assert_eq!(step(&queued(59), Sighting::NotListed, Evidence::default()), JobStep::Keep);
    assert_eq!(step(&queued(60), Sighting::NotListed, Evidence::default()), JobStep::CountMissing);
}

#[test]
fn the_end_record_outranks_the_scheduler() {
    for sighting in [Sighting::Running, Sighting::NotListed, Sighting::Ended(failed()), Sighting::NotAsked] {
        let done = step(&running(), sighting, finished(0));
        assert!(matches!(done, JobStep::End(Ending { outcome: JobOutcome::Completed, .. })), "{done:?}");
    }
}

#[test]
fn a_job_is_not_over_before_its_results_are_stored() {
    assert_eq!(step(&missing(10, 0), Sighting::NotListed, finished(4096)), JobStep::Keep);
    let stored = KnownJob { results_offset: 4096, ..missing(10, 0) };
    assert!(matches!(step(&stored, Sighting::NotListed, finished(4096)), JobStep::End(_)));
}

#[test]
fn a_killed_job_gets_time_for_its_last_words() {
    let ended = Sighting::Ended(failed());
    assert_eq!(step(&running(), ended.clone(), Evidence::default()), JobStep::CountMissing);
    assert_eq!(step(&missing(29, 1), ended.clone(), Evidence::default()), JobStep::Keep);
    assert_eq!(step(&missing(30, 1), ended, Evidence::default()), JobStep::End(failed()));
}

#[test]
fn our_own_cancel_explains_a_failure() {
    let cancelled = KnownJob { cancel_requested: true, ..missing(100, 0) };
    let end = step(&cancelled, Sighting::Ended(failed()), Evidence::default());
    assert!(matches!(end, JobStep::End(Ending { outcome: JobOutcome::Cancelled, .. })));
}

#[test]
fn accounting_settles_a_missing_job() {
    let timeout = Ending { outcome: JobOutcome::Walltime, exit_code: Some(0), signal: None };
    let known = Accounting::Knows(timeout.clone());
    let step = next_step(&missing(40, 1), &Sighting::NotListed, &Evidence::default(), &known, PATIENCE);
    assert_eq!(step, JobStep::End(timeout));
}

fn killed(reason: EndReason, exit_code: i32) -> Evidence {
    let end = EndEvidence { reason, exit_code, results_bytes: Some(0) };
    Evidence { started: true, beat: 9, end: Some(end) }
}

fn said(outcome: JobOutcome) -> Ending {
    Ending { outcome, exit_code: Some(0), signal: Some(2) }
}

#[test]
fn the_end_record_says_that_a_job_ended_and_the_scheduler_why() {
    use JobOutcome::*;
    // By a signal that the runner heeded, and by one that left only the script to write the record.
    for evidence in [killed(EndReason::Signal, 0), killed(EndReason::Failed, 137)] {
        assert_eq!(step(&running(), Sighting::Running, evidence.clone()), JobStep::CountMissing);
        let waiting = missing(1, 1);
        assert_eq!(step(&waiting, Sighting::Running, evidence.clone()), JobStep::Keep);
        for outcome in [Memory, Walltime, NodeFailure, Preempted, Cancelled] {
            let by_poll = step(&waiting, Sighting::Ended(said(outcome)), evidence.clone());
            let JobStep::End(ending) = by_poll else { panic!("{outcome:?}: {by_poll:?}") };
            assert_eq!((ending.outcome, ending.signal), (outcome, Some(2)));
            // Not listed any more, or listed with what the script returned: the books know better.
            for sighting in [Sighting::NotListed, Sighting::NotAsked, Sighting::Ended(said(Completed))] {
                let known = Accounting::Knows(said(outcome));
                let by_books = next_step(&waiting, &sighting, &evidence, &known, PATIENCE);
                assert!(
                    matches!(&by_books, JobStep::End(ending) if ending.outcome == outcome),
                    "{by_books:?}"
                );
            }
        }
    }
}

#[test]
fn what_nobody_can_tell_is_not_waited_for_longer_than_the_grace() {
    let evidence = killed(EndReason::Signal, 0);
    let ended = Sighting::Ended(said(JobOutcome::Completed));
    assert_eq!(step(&missing(31, 1), ended.clone(), evidence.clone()), JobStep::CountMissing);
    assert_eq!(step(&missing(29, 2), ended.clone(), evidence.clone()), JobStep::CountMissing);
    let cancelled = step(&missing(30, 2), ended, evidence.clone());
    assert!(matches!(&cancelled, JobStep::End(ending) if ending.outcome == JobOutcome::Cancelled));
    // The scheduler is away.
    assert_eq!(step(&missing(299, 1), Sighting::NotAsked, evidence.clone()), JobStep::Keep);
    assert!(matches!(step(&missing(300, 1), Sighting::NotAsked, evidence.clone()), JobStep::End(_)));
    // Our own request needs no explanation, nor does a runner that says itself why it could not work.
    let ours = KnownJob { cancel_requested: true, ..running() };
    assert!(matches!(step(&ours, Sighting::Running, evidence), JobStep::End(_)));
    let could_not = step(&running(), Sighting::Running, killed(EndReason::Failed, 70));
    assert!(matches!(&could_not, JobStep::End(ending) if ending.outcome == JobOutcome::Failed));
}

#[test]
fn the_books_explain_what_the_listing_calls_failed() {
    let waiting = missing(30, 1);
    for (books, expected) in
        [(JobOutcome::Memory, JobOutcome::Memory), (JobOutcome::Lost, JobOutcome::Failed)]
    {
        let known = Accounting::Knows(said(books));
        let evidence = Evidence::default();
        let end = next_step(&waiting, &Sighting::Ended(failed()), &evidence, &known, PATIENCE);
        assert!(matches!(&end, JobStep::End(ending) if ending.outcome == expected), "{end:?}");
    }
}

#[test]
fn a_start_record_starts_a_job_before_the_next_poll() {
    let queued = KnownJob { state: JobState::Queued, beat: 0, ..running() };
    let started = Evidence { started: true, beat: 1, end: None };
    assert_eq!(step(&queued, Sighting::NotAsked, started.clone()), JobStep::Start);
    assert_eq!(step(&queued, Sighting::Queued, started), JobStep::Start);
}

#[test]
fn a_requeued_job_goes_back_to_the_queue_unless_it_still_beats() {
    let silent = Evidence { started: true, beat: 3, end: None };
    assert_eq!(step(&running(), Sighting::Queued, silent), JobStep::Move(JobState::Queued));
    let beating = Evidence { started: true, beat: 4, end: None };
    assert_eq!(step(&running(), Sighting::Queued, beating), JobStep::Keep);
}

#[test]
fn a_job_that_comes_back_is_found() {
    let missing = KnownJob { state: JobState::Missing, ..missing(100, 3) };
    assert_eq!(step(&missing, Sighting::Running, Evidence::default()), JobStep::Found(JobState::Running));
}

fn any_sighting() -> impl Strategy<Value = Sighting> {
    prop_oneof![
        Just(Sighting::NotAsked),
        Just(Sighting::NotListed),
        Just(Sighting::Queued),
        Just(Sighting::Blocked),
        Just(Sighting::Running),
        Just(Sighting::Suspended),
        Just(Sighting::Ending),
        Just(Sighting::Ended(failed())),
    ]
}

proptest! {
    /// Whatever is seen, each step is a legal transition of the job's state.
    #[test]
    fn every_step_is_legal(
        state in prop::sample::select(JobState::ALL.to_vec()),
        sighting in any_sighting(), missing in prop::option::of(0u64..2000), polls in 0u32..5,
        started: bool, beat in 0i64..9, queued in 0u64..2000, cancel: bool,
    ) {
        prop_assume!(state != JobState::Ended);
        let job = KnownJob {
            state,
            queued_ago: Some(seconds(queued)),
            missing_for: missing.map(seconds),
            missing_polls: polls,
            cancel_requested: cancel,
            ..running()
        };
        let evidence = Evidence { started, beat, end: None };
        match next_step(&job, &sighting, &evidence, &Accounting::Silent, PATIENCE) {
            JobStep::Move(to) => prop_assert!(state.may_become(to), "{state:?} -> {to:?}"),
            JobStep::Found(to) => prop_assert!(state == to || state.may_become(to)),
            JobStep::Start => prop_assert!(state.may_become(JobState::Running)),
            JobStep::Keep | JobStep::CountMissing | JobStep::End(_) => {}
        }
    }

    /// A job whose runner was killed ends within the grace, whatever the scheduler says or does not say.
    #[test]
    fn a_killed_job_ends_within_its_grace(sightings in prop::collection::vec(any_sighting(), 60), period in 10u64..60) {
        let (mut job, mut since) = (running(), None);
        for (index, sighting) in (0u64..).zip(sightings) {
            job.missing_for = since.map(|since: u64| seconds(index * period - since));
            match step(&job, sighting, killed(EndReason::Signal, 0)) {
                JobStep::End(_) => return Ok(()),
                JobStep::CountMissing => {
                    since = since.or(Some(index * period));
                    job.missing_polls += 1;
                }
                JobStep::Keep => {}
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            }
            prop_assert!(index * period <= 300 + period, "it waits for ever");
        }
    }

    /// A job nobody lists ends, whatever it was: no task is held for ever.
    #[test]
    fn silence_ends_every_job(state in prop::sample::select(JobState::ALL.to_vec()), period in 1u64..120) {
        prop_assume!(state != JobState::Ended);
        let mut job = KnownJob { state, queued_ago: Some(Duration::ZERO), ..running() };
        for _ in 0..1000 {
            job.queued_ago = job.queued_ago.map(|ago| ago + seconds(period));
            job.missing_for = job.missing_for.map(|span| span + seconds(period));
            match step(&job, Sighting::NotListed, Evidence::default()) {
                JobStep::End(ending) => {
                    prop_assert_eq!(ending.outcome, JobOutcome::Lost);
                    prop_assert!(job.missing_polls >= 2);
                    return Ok(());
                }
                JobStep::CountMissing => {
                    job.missing_for = job.missing_for.or(Some(Duration::ZERO));
                    job.missing_polls += 1;
                }
                JobStep::Keep => {}
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            }
        }
        prop_assert!(false, "never ended");
    }
}
