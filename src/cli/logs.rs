//! `qcbatch logs`: what a record's program wrote; with `-f` also what its job writes while it runs.

use std::io::{self, Write};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::error::CliError;
use super::exit_code::ExitCode;
use super::screen::{OutputMode, Report, Screen, write_out};
use super::session::Session;
use crate::api::client::Client;
use crate::api::wire::LiveLogPiece;
use crate::model::ids::RecordId;
use crate::model::view::{AttemptLine, RecordDetail};

/// Between two looks at a record that no job holds yet.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What was typed.
#[derive(Args, Debug)]
pub struct LogsArgs {
    /// The record
    #[arg(value_name = "ID")]
    id: RecordId,

    /// Follow the record's job while it runs, then print what is stored
    #[arg(long, short)]
    follow: bool,

    /// Number of the attempt, counted from 0; by default the last one
    #[arg(long, value_name = "NUMBER", conflicts_with = "follow")]
    attempt: Option<i32>,

    /// Print only this stream
    #[arg(long, value_enum, value_name = "STREAM")]
    stream: Option<Stream>,

    /// Print this native file of the program; `show` lists the files
    #[arg(long, value_name = "NAME", conflicts_with_all = ["stream", "attempt", "follow"])]
    file: Option<String>,
}

/// The streams that are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Stream {
    /// The program's output
    Stdout,
    /// Its messages and its worker's
    Stderr,
    /// The error that ended it
    Error,
}

impl Stream {
    const ALL: [Stream; 3] = [Stream::Stdout, Stream::Stderr, Stream::Error];

    fn as_str(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
            Stream::Error => "error",
        }
    }
}

/// Outputs as `--json` gives them.
#[derive(Debug, Default, Serialize)]
struct Outputs {
    attempt: i32,
    stdout: Option<String>,
    stderr: Option<String>,
    error: Option<String>,
}

impl Report for Outputs {
    fn table(&self, _: &Screen) -> String {
        self.quiet()
    }

    fn quiet(&self) -> String {
        self.stdout.clone().unwrap_or_default()
    }
}

pub(super) async fn run(args: LogsArgs, session: &Session) -> Result<ExitCode, CliError> {
    let client = session.client()?;
    if let Some(name) = &args.file {
        let path = format!("/v1/records/{}/native-files/{}", args.id, percent_encode(name));
        write_out(&client.get_bytes(&path).await?)?;
        return Ok(ExitCode::Success);
    }
    if args.follow {
        follow(&client, args.id).await?;
    }
    let detail: RecordDetail = client.get(&format!("/v1/records/{}", args.id)).await?;
    let attempt = chosen_attempt(&detail, args.attempt)?;
    let streams = args.stream.map_or_else(|| Stream::ALL.to_vec(), |stream| vec![stream]);
    if session.screen.mode == OutputMode::Json {
        let outputs = fetch_all(&client, &detail, attempt, &streams).await?;
        session.screen.print(&outputs)?;
        return Ok(ExitCode::Success);
    }
    print_streams(&client, &detail, attempt, &streams, args.stream).await?;
    Ok(ExitCode::Success)
}

fn chosen_attempt(detail: &RecordDetail, wanted: Option<i32>) -> Result<&AttemptLine, CliError> {
    let found = match wanted {
        Some(number) => detail.history.iter().find(|attempt| attempt.attempt == number),
        None => detail.history.last(),
    };
    found.ok_or_else(|| match wanted {
        Some(number) => {
            CliError::NotFound { message: format!("record {} has no attempt {number}", detail.line.id) }
        }
        None => CliError::NotFound {
            message: format!(
                "record {} is {} and nothing of it is stored yet; `qcbatch logs -f {}` follows its job",
                detail.line.id,
                detail.line.status.as_str(),
                detail.line.id
            ),
        },
    })
}

/// Standard output to standard output, everything else to standard error; a single stream always to standard output.
async fn print_streams(
    client: &Client,
    detail: &RecordDetail,
    attempt: &AttemptLine,
    streams: &[Stream],
    only: Option<Stream>,
) -> Result<(), CliError> {
    for stream in streams {
        if !attempt.outputs.iter().any(|stored| stored == stream.as_str()) {
            continue;
        }
        let text = fetch(client, detail, attempt, *stream).await?;
        if *stream == Stream::Stdout || only.is_some() {
            write_out(&text)?;
        } else {
            // Standard error that is gone leaves nobody to tell.
            let _ = io::stderr().write_all(&text);
            if !text.ends_with(b"\n") {
                let _ = io::stderr().write_all(b"\n");
            }
        }
    }
    Ok(())
}

async fn fetch_all(
    client: &Client,
    detail: &RecordDetail,
    attempt: &AttemptLine,
    streams: &[Stream],
) -> Result<Outputs, CliError> {
    let mut outputs = Outputs { attempt: attempt.attempt, ..Outputs::default() };
    for stream in streams {
        if attempt.outputs.iter().any(|stored| stored == stream.as_str()) {
            let bytes = fetch(client, detail, attempt, *stream).await?;
            let text = Some(String::from_utf8_lossy(&bytes).into_owned());
            match stream {
                Stream::Stdout => outputs.stdout = text,
                Stream::Stderr => outputs.stderr = text,
                Stream::Error => outputs.error = text,
            }
        }
    }
    Ok(outputs)
}

async fn fetch(
    client: &Client,
    detail: &RecordDetail,
    attempt: &AttemptLine,
    stream: Stream,
) -> Result<Vec<u8>, CliError> {
    let path = format!("/v1/records/{}/attempts/{}/{}", detail.line.id, attempt.history_id, stream.as_str());
    Ok(client.get_bytes(&path).await?.to_vec())
}

/// Prints the live logs of the record's jobs until the record has ended. A file's name is told when it changes.
async fn follow(client: &Client, id: RecordId) -> Result<(), CliError> {
    let mut last_file = String::new();
    loop {
        let mut pieces = client.get_lines(&format!("/v1/records/{id}/live-log")).await?;
        while let Some(line) = pieces.next().await? {
            let Ok(piece) = serde_json::from_slice::<LiveLogPiece>(&line) else { continue };
            let mut err = io::stderr().lock();
            if piece.file != last_file {
                let _ = writeln!(err, "==> {} <==", piece.file);
                last_file = piece.file;
            }
            let _ = err.write_all(piece.text.as_bytes());
        }
        let detail: RecordDetail = client.get(&format!("/v1/records/{id}")).await?;
        if detail.line.status.is_ended() {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// A name as one segment of a path.
fn percent_encode(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
