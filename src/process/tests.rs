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
fn a_line_of_proc_is_read_whatever_the_program_is_called() {
    let text = "7 (a) Z (b c) S 1 6 7 0 -1 0 0 0 0 0 150 25 100 25 20 0 1 0 4711 0";
    let stat = Stat { group: 6, cpu_seconds: 3.0, started: 4711, ended: false };
    assert_eq!(Stat::parse(text), Some(stat));
    assert_eq!(Stat::parse("7 (a"), None);
    assert_eq!(Stat::parse("7 (a) S 1"), None);
}
