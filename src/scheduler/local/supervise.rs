//! The supervisor of one submission: starts its elements as cores become free, and records how they end.
//! A process and session of its own; it ends when its last element has.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::LocalError;
use super::control::Request;
use super::entry::{Entry, EntryFiles};
use super::journal::{Event, How, Journal, Phase, phases};
use super::process::ProcessIdentity;
use super::run_element::{Element, Ending, run_element};
use super::slots::{self, Cores};
use super::state::{State, write_whole};
use crate::model::ids::Tag;

/// Time between asking a job to end and killing it.
pub(super) const KILL_WAIT: Duration = Duration::from_secs(30);

/// Requests come with a signal; looking now and then besides makes a lost one harmless.
const REQUESTS_LOOK: Duration = Duration::from_secs(10);

type Taking = Pin<Box<dyn Future<Output = Result<Cores, LocalError>>>>;
type Running = Pin<Box<dyn Future<Output = Ending>>>;

/// Supervises the submission `tag` until its last element has ended.
pub(super) fn supervise(state: &State, tag: &Tag, program: &[String]) -> Result<(), LocalError> {
    // Fails only where this process leads a group already and so needs no session to be on its own.
    let _ = nix::unistd::setsid();
    let files = EntryFiles::of(state, tag);
    let entry =
        files.read_entry().ok_or_else(|| LocalError::Supervisor { why: format!("no entry for {tag}") })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(LocalError::state("start", "the runtime"))?;
    runtime.block_on(async {
        let mut wake = signal(SignalKind::user_defined1()).map_err(LocalError::state("await", "signals"))?;
        let mut end = signal(SignalKind::terminate()).map_err(LocalError::state("await", "signals"))?;
        let mut supervisor = Supervisor::new(state.clone(), files.clone(), entry, program.to_vec())?;
        // From here on requests may come: what handles them is in place.
        files.write(&files.supervisor(), &ProcessIdentity::own())?;
        while !supervisor.is_over() {
            tokio::select! {
                Some(ending) = supervisor.running.next(), if !supervisor.running.is_empty() => {
                    supervisor.ended(ending)?;
                }
                cores = async { supervisor.taking.as_mut().expect("checked by the condition").await },
                    if supervisor.taking.is_some() => supervisor.start(cores?)?,
                _ = wake.recv() => {}
                _ = end.recv() => supervisor.obey(Request::Cancel, None)?,
                () = tokio::time::sleep(REQUESTS_LOOK) => {}
            }
            supervisor.read_requests()?;
            supervisor.want_cores();
        }
        write_whole(&files.ended(), b"")
    })
}

struct Supervisor {
    state: State,
    files: EntryFiles,
    entry: Entry,
    program: Vec<String>,
    journal: Journal,
    queued: BTreeSet<u32>,
    held: BTreeSet<u32>,
    running: FuturesUnordered<Running>,
    cancels: BTreeMap<u32, watch::Sender<bool>>,
    taking: Option<Taking>,
    requests_read: usize,
}

impl Supervisor {
    fn new(
        state: State,
        files: EntryFiles,
        entry: Entry,
        program: Vec<String>,
    ) -> Result<Supervisor, LocalError> {
        let journal = Journal::open(&files.journal())?;
        let waiting = phases(&files.journal(), entry.array_size);
        let with = |wanted: &Phase| {
            (0..).zip(&waiting).filter(|(_, phase)| *phase == wanted).map(|(index, _)| index).collect()
        };
        let (queued, held) = (with(&Phase::Queued), with(&Phase::Held));
        let mut supervisor = Supervisor {
            state,
            files,
            entry,
            program,
            journal,
            queued,
            held,
            running: FuturesUnordered::new(),
            cancels: BTreeMap::new(),
            taking: None,
            requests_read: 0,
        };
        supervisor.want_cores();
        Ok(supervisor)
    }

    fn is_over(&self) -> bool {
        self.queued.is_empty() && self.held.is_empty() && self.running.is_empty()
    }

    /// Waits for cores when something waits for them, and only then.
    fn want_cores(&mut self) {
        if self.queued.is_empty() {
            self.taking = None;
        } else if self.taking.is_none() {
            let (state, cores, total) = (self.state.clone(), self.entry.cores, self.entry.cores_total);
            self.taking = Some(Box::pin(async move { slots::take(&state, cores, total).await }));
        }
    }

    fn start(&mut self, cores: Cores) -> Result<(), LocalError> {
        self.taking = None;
        let Some(index) = self.queued.pop_first() else { return Ok(()) };
        let (cancel, cancelled) = watch::channel(false);
        match Element::spawn(&self.entry, index, &self.program) {
            Ok(element) => {
                self.journal.append(&element.started())?;
                self.cancels.insert(index, cancel);
                self.running.push(Box::pin(run_element(element, self.entry.clone(), cores, cancelled)));
                Ok(())
            }
            Err(error) => self.journal.append_end(index, How::NodeFailure, &error.to_string()),
        }
    }

    fn ended(&mut self, ending: Ending) -> Result<(), LocalError> {
        self.cancels.remove(&ending.index);
        self.journal.append(&ending.event())
    }

    /// Obeys the requests that came since the last look; a torn last line waits for its end.
    fn read_requests(&mut self) -> Result<(), LocalError> {
        let text = std::fs::read(self.files.requests()).unwrap_or_default();
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
        let new = text.get(self.requests_read..whole).unwrap_or_default().to_vec();
        self.requests_read = self.requests_read.max(whole);
        for line in String::from_utf8_lossy(&new).lines() {
            if let Some((request, index)) = Request::parse(line) {
                self.obey(request, index)?;
            }
        }
        Ok(())
    }

    fn obey(&mut self, request: Request, index: Option<u32>) -> Result<(), LocalError> {
        let indices: Vec<u32> = match index {
            Some(index) => vec![index],
            None => self.queued.iter().chain(&self.held).chain(self.cancels.keys()).copied().collect(),
        };
        for index in indices {
            match request {
                Request::Cancel if self.queued.remove(&index) || self.held.remove(&index) => {
                    self.journal.append_end(index, How::Cancelled, "cancelled before it began")?;
                }
                Request::Cancel => {
                    if let Some(cancel) = self.cancels.get(&index) {
                        cancel.send_replace(true);
                    }
                }
                Request::Hold if self.queued.remove(&index) => {
                    self.held.insert(index);
                    self.journal.append(&Event::Held { index })?;
                }
                Request::Release if self.held.remove(&index) => {
                    self.queued.insert(index);
                    self.journal.append(&Event::Released { index })?;
                }
                Request::Hold | Request::Release => {}
            }
        }
        Ok(())
    }
}
