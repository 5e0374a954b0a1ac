//! Properties of frames: any cut yields the whole frames before it, any damage yields no wrong report.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::model::failure::FailureClass;
use crate::model::ids::{JobId, RecordId, TaskId};
use crate::model::task::{TaskOutcome, TaskProvenance};

fn report(task: i64, text: &str) -> TaskReport {
    let outcome = if task % 3 == 0 {
        TaskOutcome::Error {
            class: FailureClass::Program,
            error_type: "unknown_error".into(),
            message: text.into(),
        }
    } else {
        let result = RawValue::from_string(format!("{{\"return_result\":-{task}.25,\"text\":\"{task}\"}}"));
        TaskOutcome::Complete { result: result.unwrap() }
    };
    TaskReport {
        issue: None,
        task_id: TaskId(task),
        record_id: RecordId(task + 1000),
        attempt: 2,
        outcome,
        stdout: Some(text.into()),
        stderr: None,
        native_files: BTreeMap::from([("QCR1.out".to_owned(), format!("QCR1{text}"))]),
        provenance: TaskProvenance {
            hostname: "node1".into(),
            job_id: JobId(7),
            scheduler_job_id: None,
            cores: 1,
            nodes: 1,
            memory_bytes: 1 << 30,
            wall_seconds: 0.5,
            cpu_seconds: 0.25,
            started_on: None,
            peak_memory_bytes: None,
            program: Some("Psi4".into()),
            program_version: None,
            qcengine_version: None,
        },
    }
}

struct File {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    json: Vec<String>,
}

fn file(texts: &[String]) -> File {
    let mut file = File { bytes: vec![], ends: vec![], json: vec![] };
    for (index, text) in texts.iter().enumerate() {
        let report = report(index as i64, text);
        file.bytes.extend_from_slice(encode(&report).unwrap().bytes());
        file.ends.push(file.bytes.len());
        file.json.push(serde_json::to_string(&report).unwrap());
    }
    file
}

fn read(bytes: &[u8], finality: Finality) -> (Vec<String>, u64, Vec<Range<u64>>) {
    let mut decoder = Decoder::new().unwrap();
    let mut reader = FrameReader::new(&mut decoder, bytes, 0, WindowEnd::FileEnds, finality);
    let mut seen = vec![];
    while let Some((report, report_bytes)) = reader.next_report() {
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(json.len(), report_bytes);
        seen.push(json);
    }
    (seen, reader.offset(), reader.into_skipped())
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("(QCR1|[a-zé\"\\\\\n]){0,40}", 1..6)
}

proptest! {
    #[test]
    fn any_cut_yields_exactly_the_whole_frames_before_it(texts in texts(), at in any::<prop::sample::Index>()) {
        let file = file(&texts);
        let cut = at.index(file.bytes.len() + 1);
        let whole = file.ends.iter().filter(|end| **end <= cut).count();
        let last_end = file.ends[..whole].last().copied().unwrap_or(0);
        let (seen, offset, skipped) = read(&file.bytes[..cut], Finality::StillWritten);
        prop_assert_eq!(&seen, &file.json[..whole]);
        prop_assert_eq!(offset, last_end as u64);
        prop_assert!(skipped.is_empty());

        let (seen, offset, skipped) = read(&file.bytes[..cut], Finality::Final);
        prop_assert_eq!(&seen, &file.json[..whole]);
        prop_assert_eq!(offset, cut as u64);
        let torn = last_end as u64..cut as u64;
        prop_assert_eq!(skipped, if torn.is_empty() { vec![] } else { vec![torn] });
    }

    #[test]
    fn a_damaged_frame_costs_itself_only(
        texts in texts(), at in any::<prop::sample::Index>(), flip in 1u8..,
    ) {
        let mut file = file(&texts);
        let at = at.index(file.bytes.len());
        file.bytes[at] ^= flip;
        let hit = file.ends.iter().filter(|end| **end <= at).count();
        let (seen, offset, _) = read(&file.bytes, Finality::StillWritten);
        prop_assert_eq!(&seen, &file.json[..hit]);
        prop_assert_eq!(offset, if hit == 0 { 0 } else { file.ends[hit - 1] as u64 });

        let start = if hit == 0 { 0 } else { file.ends[hit - 1] as u64 };
        let end = file.ends[hit] as u64;
        let mut others = file.json.clone();
        others.remove(hit);
        let (seen, offset, skipped) = read(&file.bytes, Finality::Final);
        prop_assert_eq!(seen, others);
        prop_assert_eq!(offset, file.bytes.len() as u64);
        prop_assert_eq!(skipped, vec![start..end]);
    }

    #[test]
    fn overwriting_any_range_never_yields_a_wrong_report(
        texts in texts(), at in any::<prop::sample::Index>(), noise in prop::collection::vec(any::<u8>(), 1..80),
    ) {
        let mut file = file(&texts);
        let at = at.index(file.bytes.len());
        let end = (at + noise.len()).min(file.bytes.len());
        file.bytes[at..end].copy_from_slice(&noise[..end - at]);
        for finality in [Finality::StillWritten, Finality::Final] {
            let (seen, offset, _) = read(&file.bytes, finality);
            prop_assert!(offset <= file.bytes.len() as u64);
            let mut originals = file.json.iter();
            for json in &seen {
                prop_assert!(originals.any(|original| original == json), "not one of ours, or out of order");
            }
        }
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = noise.clone();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&noise);
        let (seen, offset, _) = read(&bytes, Finality::Final);
        prop_assert!(seen.is_empty());
        prop_assert_eq!(offset, bytes.len() as u64);
    }

    #[test]
    fn windows_of_any_size_read_the_same_as_the_whole(
        texts in texts(), window in 1usize..200, at in any::<prop::sample::Index>(), flip in any::<u8>(),
    ) {
        let mut file = file(&texts);
        let at = at.index(file.bytes.len());
        file.bytes[at] ^= flip;
        let (expected, _, _) = read(&file.bytes, Finality::Final);
        let (mut seen, mut offset, mut size) = (vec![], 0, window);
        let mut decoder = Decoder::new().unwrap();
        while offset < file.bytes.len() {
            let end = (offset + size).min(file.bytes.len());
            let window_end = if end == file.bytes.len() { WindowEnd::FileEnds } else { WindowEnd::FileGoesOn };
            let piece = &file.bytes[offset..end];
            let mut reader =
                FrameReader::new(&mut decoder, piece, offset as u64, window_end, Finality::Final);
            while let Some((report, _)) = reader.next_report() {
                seen.push(serde_json::to_string(&report).unwrap());
            }
            let next = reader.offset() as usize;
            size = if next == offset { reader.needed().unwrap_or(size + 4).max(size + 1) } else { window };
            offset = next;
        }
        prop_assert_eq!(seen, expected);
    }
}

#[test]
fn a_header_that_lies_about_its_length_is_no_frame() {
    let mut decoder = Decoder::new().unwrap();
    let mut bytes = encode(&report(1, "x")).unwrap().bytes().to_vec();
    bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(decoder.decode(&bytes), Decoded::Corrupt));
    bytes[4..8].copy_from_slice(&4096u32.to_le_bytes());
    assert!(matches!(decoder.decode(&bytes), Decoded::Short { needed } if needed == 4096 + HEADER_BYTES));
}

/// What a decoder within `limits` makes of the frame of `report`.
fn decode_within(limits: ReportLimits, report: &TaskReport) -> Decoded {
    let frame = Encoder::within(ReportLimits::MOST).unwrap().encode(report).unwrap();
    Decoder::within(limits).unwrap().decode(frame.bytes())
}

#[test]
fn a_report_beyond_the_limits_is_a_failure_of_its_task_that_says_so() {
    let limits = ReportLimits::of_bytes(100_000);
    let mut long = report(1, "x");
    let text = RawValue::from_string(format!("\"{}\"", "y".repeat(200_000))).unwrap();
    long.outcome = TaskOutcome::Complete { result: text };
    let mut many = report(2, "x");
    let numbers = RawValue::from_string(format!("[{}0]", "0,".repeat(40_000))).unwrap();
    many.outcome = TaskOutcome::Complete { result: numbers };
    for (report, words) in [(long, "100000 are stored"), (many, "values; at most 8333 are stored")] {
        let refused = Encoder::within(limits).unwrap().encode(&report).unwrap_err();
        assert!(refused.to_string().contains(words), "{refused}");
        let Decoded::Report { report: read, .. } = decode_within(limits, &report) else {
            panic!("a report of another size is a report")
        };
        assert_eq!((read.task_id, read.record_id, read.attempt), (report.task_id, report.record_id, 2));
        assert_eq!((read.provenance, read.stdout), (report.provenance.clone(), None));
        let TaskOutcome::Error { error_type, message, .. } = read.outcome else {
            panic!("{:?}", read.outcome)
        };
        assert_eq!(error_type, "result_too_large");
        assert!(message.contains(words), "{message}");
        assert!(matches!(decode_within(ReportLimits::USUAL, &report), Decoded::Report { .. }));
    }
}

#[test]
fn a_small_frame_that_holds_hundreds_of_megabytes_costs_little_memory() {
    let mut bomb = report(1, "x");
    bomb.stdout = Some("z".repeat(200 << 20));
    let before = peak_resident_bytes();
    let frame = Encoder::within(ReportLimits::MOST).unwrap().encode(&bomb).unwrap();
    drop(bomb);
    let encoded = peak_resident_bytes();
    let decoded = Decoder::within(ReportLimits::USUAL).unwrap().decode(frame.bytes());
    let Decoded::Report { report, .. } = decoded else { panic!("it is a frame") };
    assert!(matches!(report.outcome, TaskOutcome::Error { .. }));
    // The peak is what encoding took: reading it back adds nothing of that size.
    let after = peak_resident_bytes();
    assert!(after - encoded < 64 << 20, "{before} {encoded} {after}");
}

fn peak_resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}
