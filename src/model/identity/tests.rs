//! Each way in which a report may miss its task, and that nothing but the right one fits.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const HERE: DatabaseId = DatabaseId([1; 16]);
const BEFORE: DatabaseId = DatabaseId([2; 16]);
const ELSEWHERE: DatabaseId = DatabaseId([3; 16]);
const ASKED: CalculationHash = CalculationHash([7; 16]);
const OTHER: CalculationHash = CalculationHash([8; 16]);

fn lineage() -> Lineage {
    Lineage { current: HERE, former: vec![BEFORE] }
}

fn issue(database: DatabaseId, calculation: CalculationHash) -> Option<Issue> {
    Some(Issue { database, calculation: Some(calculation) })
}

fn said() -> Said {
    Said { issue: issue(HERE, ASKED), job_id: JobId(5), task_id: TaskId(10), attempt: 1 }
}

fn known() -> Known {
    Known { task_id: TaskId(10), attempt: Some(1), calculation: Some(ASKED), holding: Holding::ThisJob }
}

#[test]
fn reports_of_other_databases_and_other_jobs_have_no_task_here() {
    let check = |said: Said| check_source(&said, JobId(5), &lineage());
    assert_eq!(check(said()), Ok(Origin::Current));
    assert_eq!(check(Said { issue: issue(BEFORE, ASKED), ..said() }), Ok(Origin::Former));
    assert_eq!(check(Said { issue: None, ..said() }), Ok(Origin::Unsaid));
    assert_eq!(check(Said { issue: issue(ELSEWHERE, ASKED), ..said() }), Err(Misfit::ForeignDatabase));
    assert_eq!(check(Said { job_id: JobId(6), ..said() }), Err(Misfit::OtherJob));
}

#[test]
fn a_report_fits_its_own_task_and_no_other() {
    let check = |said: Said, known: Known| check_task(&said, &known);
    assert_eq!(check(said(), known()), Ok(()));
    assert_eq!(check(Said { task_id: TaskId(11), ..said() }, known()), Err(Misfit::OtherTask));
    assert_eq!(check(Said { attempt: 2, ..said() }, known()), Err(Misfit::NeverHandedOut));
    assert_eq!(check(said(), Known { attempt: None, ..known() }), Err(Misfit::NeverHandedOut));
    assert_eq!(check(Said { issue: issue(HERE, OTHER), ..said() }, known()), Err(Misfit::OtherCalculation));
    assert_eq!(check(said(), Known { holding: Holding::OtherJob, ..known() }), Err(Misfit::HeldByOther));
    // Given back and not handed out again; given back and handed out again.
    assert_eq!(check(said(), Known { holding: Holding::Nobody, ..known() }), Ok(()));
    let again = Known { attempt: Some(2), holding: Holding::OtherJob, ..known() };
    assert_eq!(check(said(), again), Ok(()));
}

#[test]
fn without_a_hash_only_the_holder_of_the_attempt_is_believed() {
    let bare = Said { issue: None, ..said() };
    assert_eq!(check_task(&bare, &known()), Ok(()));
    assert_eq!(check_task(&said(), &Known { calculation: None, ..known() }), Ok(()));
    for doubtful in [
        Known { holding: Holding::OtherJob, ..known() },
        Known { holding: Holding::Nobody, ..known() },
        Known { attempt: Some(2), ..known() },
    ] {
        assert_eq!(check_task(&bare, &doubtful), Err(Misfit::Unidentified), "{doubtful:?}");
    }
}

#[test]
fn a_person_may_adopt_what_answers_the_record_and_nothing_else() {
    let check = |said: Said, known: Known| check_adoption(&said, &known, &lineage());
    let stray = Said { issue: issue(ELSEWHERE, ASKED), task_id: TaskId(99), attempt: 7, ..said() };
    assert_eq!(check(stray, known()), Ok(()), "the same calculation, whoever asked for it");
    assert_eq!(check(Said { issue: issue(HERE, OTHER), ..said() }, known()), Err(Misfit::OtherCalculation));
    let old = Known { calculation: None, holding: Holding::Nobody, ..known() };
    assert_eq!(check(Said { issue: None, ..said() }, old), Ok(()));
    assert_eq!(check(Said { task_id: TaskId(99), ..said() }, old), Err(Misfit::OtherTask));
    assert_eq!(check(Said { attempt: 3, ..said() }, old), Err(Misfit::NeverHandedOut));
    assert_eq!(check(Said { issue: issue(ELSEWHERE, ASKED), ..said() }, old), Err(Misfit::ForeignDatabase));
}

#[test]
fn each_part_of_a_calculation_changes_its_hash() {
    let extras = |text: serde_json::Value| text.as_object().unwrap().clone();
    let none = extras(json!({}));
    let single = RecordType::Singlepoint;
    let mut hashes = vec![
        CalculationHash::of(single, "s", None, "m", &none),
        CalculationHash::of(RecordType::Optimization, "s", None, "m", &none),
        CalculationHash::of(single, "t", None, "m", &none),
        CalculationHash::of(single, "s", Some("o"), "m", &none),
        CalculationHash::of(single, "s", None, "n", &none),
        CalculationHash::of(single, "s", None, "m", &extras(json!({"a": 1}))),
        CalculationHash::of(single, "s", None, "m", &extras(json!({"a": 1.0}))),
        CalculationHash::of(single, "", Some("s"), "m", &none),
    ];
    let made = hashes.len();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), made);
    let one_order = CalculationHash::of(single, "s", None, "m", &extras(json!({"a": 1, "b": 2})));
    assert_eq!(one_order, CalculationHash::of(single, "s", None, "m", &extras(json!({"b": 2, "a": 1}))));
}

#[test]
fn reasons_and_words_are_one_to_one() {
    for misfit in Misfit::ALL {
        assert_eq!(Misfit::parse(misfit.as_str()), Some(misfit));
    }
}

proptest! {
    #[test]
    fn an_id_reads_back_and_other_texts_are_none(bytes: [u8; 16], text in "[0-9a-g]{30,34}") {
        let id = DatabaseId(bytes);
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        if let Ok(id) = text.parse::<DatabaseId>() {
            prop_assert_eq!(id.to_string(), text);
        }
    }

    /// Whatever else agrees, a hash that differs is never stored.
    #[test]
    fn another_calculation_never_fits(task in 0i64..3, attempt in 0u32..3, last in 0u32..3, holding in 0..3) {
        let holding = [Holding::ThisJob, Holding::OtherJob, Holding::Nobody][holding as usize];
        let said = Said { issue: issue(HERE, OTHER), task_id: TaskId(task), attempt, ..said() };
        let known = Known { task_id: TaskId(1), attempt: Some(last), holding, ..known() };
        prop_assert!(check_task(&said, &known).is_err());
        prop_assert!(check_adoption(&said, &known, &lineage()).is_err());
    }
}
