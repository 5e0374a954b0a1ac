//! Frames of a result file: `QCR1`, lengths, CRC-32, zstd-compressed JSON of one `TaskReport`. Pure.
//!
//! A file that is cut anywhere, or overwritten anywhere, yields whole frames or nothing: never a wrong report.

use std::fmt;
use std::io;
use std::ops::Range;

use crate::model::json_size;
use crate::model::task::TaskReport;

mod bulky;

/// The first bytes of every frame.
pub const MAGIC: [u8; 4] = *b"QCR1";
/// Magic, compressed length, uncompressed length, checksum.
pub const HEADER_BYTES: usize = 16;
/// Longest JSON of one report that the format can hold.
pub const MAX_REPORT_BYTES: u32 = 1 << 30;
/// Longest compressed payload: zstd adds less than 1/128 to data that it cannot compress.
const MAX_PAYLOAD_BYTES: u32 = MAX_REPORT_BYTES + (MAX_REPORT_BYTES >> 7);
/// zstd's own default: reports are mostly numbers as text, higher levels gain little.
const COMPRESSION_LEVEL: i32 = 3;

/// How large a report may be. A value of JSON costs the daemon many times its bytes, so that both are counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReportLimits {
    bytes: usize,
    elements: usize,
}

impl ReportLimits {
    /// Whatever the format can hold.
    pub const MOST: ReportLimits =
        ReportLimits { bytes: MAX_REPORT_BYTES as usize, elements: MAX_REPORT_BYTES as usize };
    /// What is taken when nothing else is configured.
    pub const USUAL: ReportLimits = ReportLimits::of_bytes(64 << 20);

    /// Reports of so many bytes. A number is usually written with some twenty characters; a report of nothing but short
    /// ones may hold one value for each twelve bytes.
    pub const fn of_bytes(bytes: u64) -> ReportLimits {
        let most = MAX_REPORT_BYTES as u64;
        let bytes = if bytes > most { most } else { bytes };
        ReportLimits { bytes: bytes as usize, elements: (bytes / 12) as usize }
    }

    /// Why this JSON is too large, if it is.
    fn excess(self, json: &[u8]) -> Option<Excess> {
        let elements = if json.len() / 2 > self.elements { json_size::elements(json) } else { 0 };
        let fits = json.len() <= self.bytes && elements <= self.elements;
        (!fits).then_some(Excess { bytes: json.len(), elements, limits: self })
    }
}

/// By how much a report is too large.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Excess {
    bytes: usize,
    elements: usize,
    limits: ReportLimits,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, is, most) = if self.bytes > self.limits.bytes {
            ("bytes", self.bytes, self.limits.bytes)
        } else {
            ("values", self.elements, self.limits.elements)
        };
        write!(f, "the result has {is} {what}; at most {most} are stored (`[worker] result_bytes`)")
    }
}

/// Why a report cannot become a frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Too long.
    #[error("{0}")]
    TooLarge(Excess),
    /// No JSON can say it.
    #[error("a report cannot be written as JSON")]
    Json(#[source] serde_json::Error),
    /// zstd gave up.
    #[error("a report cannot be compressed")]
    Compress(#[source] io::Error),
}

/// One encoded report, ready to be appended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame(Vec<u8>);

impl Frame {
    /// Header and payload.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Buffers larger than this are not kept from one report to the next.
const KEPT_BYTES: usize = 1 << 20;

/// Makes frames one after another; keeps zstd's state and its buffers, which cost more than a small report.
pub struct Encoder {
    limits: ReportLimits,
    compressor: zstd::bulk::Compressor<'static>,
    json: Vec<u8>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

impl Encoder {
    /// A new one, for reports of the usual size.
    pub fn new() -> Result<Encoder, FrameError> {
        Encoder::within(ReportLimits::USUAL)
    }

    /// A new one that refuses reports beyond `limits`.
    pub fn within(limits: ReportLimits) -> Result<Encoder, FrameError> {
        let compressor = zstd::bulk::Compressor::new(COMPRESSION_LEVEL).map_err(FrameError::Compress)?;
        Ok(Encoder { limits, compressor, json: Vec::new() })
    }

    /// Makes the frame of `report`.
    pub fn encode(&mut self, report: &TaskReport) -> Result<Frame, FrameError> {
        self.json.clear();
        self.json.shrink_to(KEPT_BYTES);
        serde_json::to_writer(&mut self.json, report).map_err(FrameError::Json)?;
        if let Some(excess) = self.limits.excess(&self.json) {
            return Err(FrameError::TooLarge(excess));
        }
        let payload = self.compressor.compress(&self.json).map_err(FrameError::Compress)?;
        let (Ok(length), Ok(payload_length)) = (u32::try_from(self.json.len()), u32::try_from(payload.len()))
        else {
            let excess = Excess { bytes: payload.len(), elements: 0, limits: self.limits };
            return Err(FrameError::TooLarge(excess));
        };
        let mut frame = Vec::with_capacity(HEADER_BYTES + payload.len());
        frame.extend_from_slice(&MAGIC);
        frame.extend_from_slice(&payload_length.to_le_bytes());
        frame.extend_from_slice(&length.to_le_bytes());
        frame.extend_from_slice(&checksum(payload_length, length, &payload).to_le_bytes());
        frame.extend_from_slice(&payload);
        Ok(Frame(frame))
    }
}

/// Makes the frame of one `report`.
pub fn encode(report: &TaskReport) -> Result<Frame, FrameError> {
    Encoder::new()?.encode(report)
}

fn checksum(payload_length: u32, length: u32, payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&payload_length.to_le_bytes());
    crc.update(&length.to_le_bytes());
    crc.update(payload);
    crc.finalize()
}

/// What stands at the beginning of some bytes.
#[derive(Debug)]
pub enum Decoded {
    /// A whole frame.
    Report {
        /// Its report.
        report: Box<TaskReport>,
        /// Length of the frame.
        frame_bytes: usize,
        /// Length of the report as JSON.
        report_bytes: usize,
    },
    /// The beginning of what may be a frame.
    Short {
        /// Bytes needed to say more.
        needed: usize,
    },
    /// No frame.
    Corrupt,
}

/// Reads frames one after another; keeps zstd's state and its buffer, which cost more than a small report.
pub struct Decoder {
    limits: ReportLimits,
    decompressor: zstd::bulk::Decompressor<'static>,
    json: Vec<u8>,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}

impl Decoder {
    /// A new one for reports of any size; the error is of memory.
    pub fn new() -> io::Result<Decoder> {
        Decoder::within(ReportLimits::MOST)
    }

    /// A new one that gives reports beyond `limits` as failures that say so.
    pub fn within(limits: ReportLimits) -> io::Result<Decoder> {
        Ok(Decoder { limits, decompressor: zstd::bulk::Decompressor::new()?, json: Vec::new() })
    }

    /// Reads the frame at the beginning of `bytes`.
    pub fn decode(&mut self, bytes: &[u8]) -> Decoded {
        let (payload, length) = match payload_of(bytes, self.limits) {
            Ok(found) => found,
            Err(no_payload) => return no_payload,
        };
        if length <= self.limits.bytes {
            return self.report_of(payload, length);
        }
        let excess = Excess { bytes: length, elements: 0, limits: self.limits };
        // Its length is what the frame says; it is never held whole.
        let whole = zstd::Decoder::new(payload).and_then(|json| Ok(bulky::without_bulk(json, excess)?));
        whole.map_or(Decoded::Corrupt, |report| decoded(report, payload, 0))
    }

    fn report_of(&mut self, payload: &[u8], length: usize) -> Decoded {
        self.json.clear();
        self.json.shrink_to(KEPT_BYTES);
        self.json.reserve(length);
        let whole = self.decompressor.decompress_to_buffer(payload, &mut self.json);
        if !whole.is_ok_and(|bytes| bytes == length) {
            return Decoded::Corrupt;
        }
        let report = match self.limits.excess(&self.json) {
            None => serde_json::from_slice(&self.json),
            Some(excess) => bulky::without_bulk(self.json.as_slice(), excess),
        };
        report.map_or(Decoded::Corrupt, |report| decoded(report, payload, length))
    }
}

fn decoded(report: TaskReport, payload: &[u8], report_bytes: usize) -> Decoded {
    Decoded::Report { report: Box::new(report), frame_bytes: HEADER_BYTES + payload.len(), report_bytes }
}

/// The payload of the frame at the beginning of `bytes`, and its length when decompressed.
fn payload_of(bytes: &[u8], limits: ReportLimits) -> Result<(&[u8], usize), Decoded> {
    let seen = bytes.len().min(MAGIC.len());
    if bytes[..seen] != MAGIC[..seen] {
        return Err(Decoded::Corrupt);
    }
    if bytes.len() < HEADER_BYTES {
        return Err(Decoded::Short { needed: HEADER_BYTES });
    }
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (payload_length, length, expected) = (word(4), word(8), word(12));
    // What is larger when compressed than any report may be is not read: nobody of ours wrote it.
    let most = limits.bytes.saturating_add(limits.bytes >> 7).saturating_add(KEPT_BYTES);
    if payload_length > MAX_PAYLOAD_BYTES || length > MAX_REPORT_BYTES || payload_length as usize > most {
        return Err(Decoded::Corrupt);
    }
    let frame_bytes = HEADER_BYTES + payload_length as usize;
    let Some(payload) = bytes.get(HEADER_BYTES..frame_bytes) else {
        return Err(Decoded::Short { needed: frame_bytes });
    };
    if checksum(payload_length, length, payload) != expected {
        return Err(Decoded::Corrupt);
    }
    Ok((payload, length as usize))
}

/// Whether more may still be written to a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finality {
    /// The job may live: what does not read as a frame is not there yet.
    StillWritten,
    /// Nobody writes any more: what does not read as a frame is skipped.
    Final,
}

/// Whether a window ends where the file ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WindowEnd {
    /// The file goes on behind the window.
    FileGoesOn,
    /// The file ends with the window.
    FileEnds,
}

/// Goes through the frames in a window of a result file.
#[derive(Debug)]
pub struct FrameReader<'a> {
    decoder: &'a mut Decoder,
    window: &'a [u8],
    window_offset: u64,
    window_end: WindowEnd,
    finality: Finality,
    position: usize,
    needed: Option<usize>,
    skipped: Vec<Range<u64>>,
}

impl<'a> FrameReader<'a> {
    /// Reads `window`, which lies at `window_offset` in its file.
    pub fn new(
        decoder: &'a mut Decoder,
        window: &'a [u8],
        window_offset: u64,
        window_end: WindowEnd,
        finality: Finality,
    ) -> Self {
        FrameReader {
            decoder,
            window,
            window_offset,
            window_end,
            finality,
            position: 0,
            needed: None,
            skipped: vec![],
        }
    }

    /// The offset in the file behind the last frame returned, or behind what was skipped.
    pub fn offset(&self) -> u64 {
        self.window_offset + self.position as u64
    }

    /// Set when the window ended inside a frame and the file goes on: bytes needed from `offset()`.
    pub fn needed(&self) -> Option<usize> {
        self.needed
    }

    /// Ranges of the file that hold no frame. Only a final file has any.
    pub fn into_skipped(self) -> Vec<Range<u64>> {
        self.skipped
    }

    /// The next report and its length as JSON; none at the end of what can be read now.
    pub fn next_report(&mut self) -> Option<(TaskReport, usize)> {
        while self.position < self.window.len() {
            match self.decoder.decode(&self.window[self.position..]) {
                Decoded::Report { report, frame_bytes, report_bytes } => {
                    self.position += frame_bytes;
                    return Some((*report, report_bytes));
                }
                Decoded::Short { needed } if self.window_end == WindowEnd::FileGoesOn => {
                    self.needed = Some(needed);
                    return None;
                }
                Decoded::Short { .. } | Decoded::Corrupt => match self.finality {
                    Finality::StillWritten => return None,
                    Finality::Final => self.skip_to_next_magic(),
                },
            }
        }
        None
    }

    fn skip_to_next_magic(&mut self) {
        let start = self.offset();
        let behind = self.position + 1;
        let found = self.window[behind..].windows(MAGIC.len()).position(|bytes| bytes == MAGIC);
        self.position = match (found, self.window_end) {
            (Some(distance), _) => behind + distance,
            // A magic may straddle the window's end.
            (None, WindowEnd::FileGoesOn) => {
                behind.max(self.window.len() - (MAGIC.len() - 1).min(self.window.len()))
            }
            (None, WindowEnd::FileEnds) => self.window.len(),
        };
        let end = self.offset();
        match self.skipped.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => self.skipped.push(start..end),
        }
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
