//! The promises of `plan::job`: evidence outranks the scheduler, absence is not an end, every job ends some day.

use proptest::prelude::*;

use super::*;

const PATIENCE: Patience = Patience {
    submit_grace: Duration::from_secs(60),
    evidence_grace: Duration::from_secs(30),
    missing_grace: Duration::from_secs(300),
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn running() -> KnownJob {
    KnownJob {
        state: JobState::Running,
        queued_on: Some(at(0)),
        missing_since: None,
        missing_polls: 0,
        cancel_requested: false,
        beat: 3,
        beat_on: None,
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

fn step(job: &KnownJob, sighting: Sighting, evidence: Evidence, second: i64) -> JobStep {
    next_step(job, &sighting, &evidence, &Accounting::Silent, PATIENCE, at(second))
}

fn failed() -> Ending {
    Ending { outcome: JobOutcome::Failed, exit_code: Some(1), signal: None }
}

#[test]
fn not_listed_is_not_finished() {
    assert_eq!(step(&running(), Sighting::NotListed, Evidence::default(), 100), JobStep::CountMissing);
    let missing = KnownJob { missing_since: Some(at(100)), missing_polls: 5, ..running() };
    assert_eq!(step(&missing, Sighting::NotListed, Evidence::default(), 399), JobStep::CountMissing);
    let lost = step(&missing, Sighting::NotListed, Evidence::default(), 400);
    assert!(matches!(lost, JobStep::End(Ending { outcome: JobOutcome::Lost, .. })));
}

#[test]
fn a_job_that_beats_is_not_lost() {
    let missing = KnownJob { missing_since: Some(at(0)), missing_polls: 9, ..running() };
    let beating = Evidence { started: true, beat: 4, end: None };
    assert_eq!(step(&missing, Sighting::NotListed, beating, 1000), JobStep::CountMissing);
    let lately = KnownJob { beat_on: Some(at(900)), ..missing };
    assert_eq!(step(&lately, Sighting::NotListed, Evidence::default(), 1000), JobStep::CountMissing);
    assert!(matches!(step(&lately, Sighting::NotListed, Evidence::default(), 1200), JobStep::End(_)));
}

#[test]
fn a_poll_that_was_not_believed_changes_nothing() {
    assert_eq!(step(&running(), Sighting::NotAsked, Evidence::default(), 10_000), JobStep::Keep);
}

#[test]
fn a_job_just_submitted_may_be_invisible() {
    let queued = KnownJob { state: JobState::Queued, beat: 0, ..running() };
    assert_eq!(step(&queued, Sighting::NotListed, Evidence::default(), 59), JobStep::Keep);
    assert_eq!(step(&queued, Sighting::NotListed, Evidence::default(), 60), JobStep::CountMissing);
}

#[test]
fn the_end_record_outranks_the_scheduler() {
    for sighting in [Sighting::Running, Sighting::NotListed, Sighting::Ended(failed()), Sighting::NotAsked] {
        let done = step(&running(), sighting, finished(0), 100);
        assert!(matches!(done, JobStep::End(Ending { outcome: JobOutcome::Completed, .. })), "{done:?}");
    }
}

#[test]
fn a_job_is_not_over_before_its_results_are_stored() {
    let missing = KnownJob { missing_since: Some(at(90)), ..running() };
    assert_eq!(step(&missing, Sighting::NotListed, finished(4096), 100), JobStep::Keep);
    let stored = KnownJob { results_offset: 4096, ..missing };
    assert!(matches!(step(&stored, Sighting::NotListed, finished(4096), 100), JobStep::End(_)));
}

#[test]
fn a_killed_job_gets_time_for_its_last_words() {
    let ended = Sighting::Ended(failed());
    assert_eq!(step(&running(), ended.clone(), Evidence::default(), 100), JobStep::CountMissing);
    let waiting = KnownJob { missing_since: Some(at(100)), missing_polls: 1, ..running() };
    assert_eq!(step(&waiting, ended.clone(), Evidence::default(), 129), JobStep::Keep);
    assert_eq!(step(&waiting, ended, Evidence::default(), 130), JobStep::End(failed()));
}

#[test]
fn our_own_cancel_explains_a_failure() {
    let cancelled = KnownJob { cancel_requested: true, missing_since: Some(at(0)), ..running() };
    let end = step(&cancelled, Sighting::Ended(failed()), Evidence::default(), 100);
    assert!(matches!(end, JobStep::End(Ending { outcome: JobOutcome::Cancelled, .. })));
}

#[test]
fn accounting_settles_a_missing_job() {
    let missing = KnownJob { missing_since: Some(at(0)), missing_polls: 1, ..running() };
    let timeout = Ending { outcome: JobOutcome::Walltime, exit_code: Some(0), signal: None };
    let known = Accounting::Knows(timeout.clone());
    let step = next_step(&missing, &Sighting::NotListed, &Evidence::default(), &known, PATIENCE, at(40));
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
        assert_eq!(step(&running(), Sighting::Running, evidence.clone(), 100), JobStep::CountMissing);
        let waiting = KnownJob { missing_since: Some(at(100)), missing_polls: 1, ..running() };
        assert_eq!(step(&waiting, Sighting::Running, evidence.clone(), 101), JobStep::Keep);
        for outcome in [Memory, Walltime, NodeFailure, Preempted, Cancelled] {
            let by_poll = step(&waiting, Sighting::Ended(said(outcome)), evidence.clone(), 101);
            let JobStep::End(ending) = by_poll else { panic!("{outcome:?}: {by_poll:?}") };
            assert_eq!((ending.outcome, ending.signal), (outcome, Some(2)));
            // Not listed any more, or listed with what the script returned: the books know better.
            for sighting in [Sighting::NotListed, Sighting::NotAsked, Sighting::Ended(said(Completed))] {
                let known = Accounting::Knows(said(outcome));
                let by_books = next_step(&waiting, &sighting, &evidence, &known, PATIENCE, at(101));
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
    let waiting = |polls| KnownJob { missing_since: Some(at(100)), missing_polls: polls, ..running() };
    let ended = Sighting::Ended(said(JobOutcome::Completed));
    assert_eq!(step(&waiting(1), ended.clone(), evidence.clone(), 131), JobStep::CountMissing);
    assert_eq!(step(&waiting(2), ended.clone(), evidence.clone(), 129), JobStep::CountMissing);
    let cancelled = step(&waiting(2), ended, evidence.clone(), 130);
    assert!(matches!(&cancelled, JobStep::End(ending) if ending.outcome == JobOutcome::Cancelled));
    // The scheduler is away.
    assert_eq!(step(&waiting(1), Sighting::NotAsked, evidence.clone(), 399), JobStep::Keep);
    assert!(matches!(step(&waiting(1), Sighting::NotAsked, evidence.clone(), 400), JobStep::End(_)));
    // Our own request needs no explanation, nor does a runner that says itself why it could not work.
    let ours = KnownJob { cancel_requested: true, ..running() };
    assert!(matches!(step(&ours, Sighting::Running, evidence, 5), JobStep::End(_)));
    let could_not = step(&running(), Sighting::Running, killed(EndReason::Failed, 70), 5);
    assert!(matches!(&could_not, JobStep::End(ending) if ending.outcome == JobOutcome::Failed));
}

#[test]
fn the_books_explain_what_the_listing_calls_failed() {
    let waiting = KnownJob { missing_since: Some(at(100)), missing_polls: 1, ..running() };
    for (books, expected) in
        [(JobOutcome::Memory, JobOutcome::Memory), (JobOutcome::Lost, JobOutcome::Failed)]
    {
        let known = Accounting::Knows(said(books));
        let evidence = Evidence::default();
        let end = next_step(&waiting, &Sighting::Ended(failed()), &evidence, &known, PATIENCE, at(130));
        assert!(matches!(&end, JobStep::End(ending) if ending.outcome == expected), "{end:?}");
    }
}

#[test]
fn a_start_record_starts_a_job_before_the_next_poll() {
    let queued = KnownJob { state: JobState::Queued, beat: 0, ..running() };
    let started = Evidence { started: true, beat: 1, end: None };
    assert_eq!(step(&queued, Sighting::NotAsked, started.clone(), 5), JobStep::Start);
    assert_eq!(step(&queued, Sighting::Queued, started, 5), JobStep::Start);
}

#[test]
fn a_requeued_job_goes_back_to_the_queue_unless_it_still_beats() {
    let silent = Evidence { started: true, beat: 3, end: None };
    assert_eq!(step(&running(), Sighting::Queued, silent, 5), JobStep::Move(JobState::Queued));
    let beating = Evidence { started: true, beat: 4, end: None };
    assert_eq!(step(&running(), Sighting::Queued, beating, 5), JobStep::Keep);
}

#[test]
fn a_job_that_comes_back_is_found() {
    let missing =
        KnownJob { state: JobState::Missing, missing_since: Some(at(0)), missing_polls: 3, ..running() };
    assert_eq!(
        step(&missing, Sighting::Running, Evidence::default(), 100),
        JobStep::Found(JobState::Running)
    );
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
        sighting in any_sighting(), missing in prop::option::of(0i64..1000), polls in 0u32..5,
        started: bool, beat in 0i64..9, now in 0i64..2000, cancel: bool,
    ) {
        prop_assume!(state != JobState::Ended);
        let job = KnownJob {
            state, missing_since: missing.map(at), missing_polls: polls, cancel_requested: cancel, ..running()
        };
        let evidence = Evidence { started, beat, end: None };
        match next_step(&job, &sighting, &evidence, &Accounting::Silent, PATIENCE, at(now)) {
            JobStep::Move(to) => prop_assert!(state.may_become(to), "{state:?} -> {to:?}"),
            JobStep::Found(to) => prop_assert!(state == to || state.may_become(to)),
            JobStep::Start => prop_assert!(state.may_become(JobState::Running)),
            JobStep::Keep | JobStep::CountMissing | JobStep::End(_) => {}
        }
    }

    /// A job whose runner was killed ends within the grace, whatever the scheduler says or does not say.
    #[test]
    fn a_killed_job_ends_within_its_grace(sightings in prop::collection::vec(any_sighting(), 60), period in 10i64..60) {
        let mut job = running();
        for (index, sighting) in (0..).zip(sightings) {
            match step(&job, sighting, killed(EndReason::Signal, 0), index * period) {
                JobStep::End(_) => return Ok(()),
                JobStep::CountMissing => {
                    job.missing_since = job.missing_since.or(Some(at(index * period)));
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
    fn silence_ends_every_job(state in prop::sample::select(JobState::ALL.to_vec()), period in 1i64..120) {
        prop_assume!(state != JobState::Ended);
        let mut job = KnownJob { state, ..running() };
        let mut now = 0;
        for _ in 0..1000 {
            now += period;
            match step(&job, Sighting::NotListed, Evidence::default(), now) {
                JobStep::End(ending) => {
                    prop_assert_eq!(ending.outcome, JobOutcome::Lost);
                    prop_assert!(job.missing_polls >= 2);
                    return Ok(());
                }
                JobStep::CountMissing => {
                    job.missing_since = job.missing_since.or(Some(at(now)));
                    job.missing_polls += 1;
                }
                JobStep::Keep => {}
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            }
        }
        prop_assert!(false, "never ended");
    }
}
