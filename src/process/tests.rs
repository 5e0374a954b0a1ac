//! The promises of `process`.

use super::*;

#[test]
fn a_process_is_known_until_it_ends() {
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let mark = ProcessMark::of(child.id().cast_signed()).unwrap();
    assert!(!mark.is_surely_gone());
    assert!(ProcessMark { started: mark.started + 1, ..mark }.is_surely_gone());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(mark.is_surely_gone());
}

#[test]
fn what_this_process_takes_is_counted() {
    let before = Usage::of_this().unwrap();
    let block = vec![1_u8; 64 << 20];
    let after = Usage::of_this().unwrap();
    assert!(before.resident_bytes > 0 && before.cpu_seconds >= 0.0, "{before:?}");
    let grown = after.peak_resident_bytes.saturating_sub(before.resident_bytes);
    assert!(grown >= block.len() as u64, "{before:?} {after:?}");
    assert!(after.peak_resident_bytes >= after.resident_bytes, "{after:?}");
}

#[test]
fn a_name_cannot_hide_the_fields() {
    let text = "7 (a) Z (b c) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0";
    assert_eq!(Stat::parse(text).map(|stat| (stat.started, stat.ended)), Some((4711, false)));
}
