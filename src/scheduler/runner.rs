//! Runs the scheduler's commands: the only place of the engine that starts processes.
//! Argument vectors only, a scrubbed environment, at most two at a time, and none that outlives its time.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use regex::Regex;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::{Notify, Semaphore};

use crate::failpoint::{self, FailPoint};
use crate::permit::{Guard, NotPermitted, Permit};

/// Children that may live at the same time, over all schedulers of this process: a daemon is a guest on a login node.
static CHILDREN: Semaphore = Semaphore::const_new(CHILDREN_AT_ONCE);

const CHILDREN_AT_ONCE: usize = 2;

/// What clients of other people's schedulers share. Once our own scheduler is in use too, each takes both permits: one that
/// hangs must not keep the jobs of this machine waiting.
static CLIENTS: Semaphore = Semaphore::const_new(2);

static OWN_IN_USE: AtomicBool = AtomicBool::new(false);

/// From here on one place belongs to our own program.
pub fn keep_a_place_for_ourselves() {
    OWN_IN_USE.store(true, Ordering::Relaxed);
}

/// Whose command it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    /// Our own program's: it answers at once.
    Ours,
    /// Another scheduler's client, which may hang.
    Clients,
}

/// Time between asking a command to end and killing it.
const TERMINATE_TO_KILL: Duration = Duration::from_secs(2);

/// How long a pipe may stay open once its command ended (a helper it left behind may hold it).
const PIPES_AFTER_END: Duration = Duration::from_secs(2);

/// What a command does to the scheduler.
#[derive(Clone, Copy)]
pub enum Effect<'g> {
    /// It only asks.
    Asks,
    /// It changes something there, which the guard must permit when the command is about to start.
    Changes(&'g dyn Guard),
}

/// One command to run.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Whose command it is.
    pub whose: Whose,
    /// All of its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// A file to read from; nothing otherwise.
    pub stdin: Option<PathBuf>,
    /// Where it runs; `/` otherwise, so that no mount is held.
    pub directory: Option<PathBuf>,
    /// How long it may take, waiting for a free place not counted.
    pub timeout: Duration,
    /// Most bytes of either output.
    pub output_limit_bytes: usize,
    /// What it says on standard error before it sends its request a second time: it is ended there.
    pub gives_up_at: Vec<Regex>,
}

/// How a command went.
#[derive(Debug)]
pub enum Ran {
    /// It never began: it surely had no effect.
    NotStarted {
        /// Why.
        message: String,
    },
    /// It was not started because it would have changed something and was not permitted.
    NotPermitted(NotPermitted),
    /// It began and did not end by itself: nobody knows what it did.
    Unfinished {
        /// Why.
        message: String,
        /// What it had written.
        stderr: String,
    },
    /// It was ended because it was about to send its request a second time.
    GivenUp {
        /// How long it had lived.
        lived: Duration,
        /// What it had written to standard output.
        stdout: String,
        /// What it had written to standard error.
        stderr: String,
    },
    /// It ended.
    Exited {
        /// Its exit code.
        code: i32,
        /// What it wrote, bytes that are no UTF-8 replaced.
        stdout: String,
        /// What it wrote to standard error.
        stderr: String,
    },
}

/// Kills the group when the caller stops waiting (the daemon ends), so that nothing is left behind.
struct Group {
    id: Option<Pid>,
}

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(id) = self.id {
            // An error means that the group is gone already.
            let _ = killpg(id, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Runs `invocation` to its end or its time-out. One that changes something is permitted after it has waited for its place,
/// and the permit is looked at once more by the instruction before the process is made.
pub async fn run(invocation: &Invocation, effect: Effect<'_>) -> Ran {
    // Semaphores are never closed, so that an error cannot come; then no limit is the lesser evil.
    let _of_clients = match invocation.whose {
        Whose::Clients if OWN_IN_USE.load(Ordering::Relaxed) => CLIENTS.acquire_many(2).await.ok(),
        Whose::Clients => CLIENTS.acquire().await.ok(),
        Whose::Ours => None,
    };
    let _place = CHILDREN.acquire().await.ok();
    let permit = match effect {
        Effect::Asks => Permit::without_lease(),
        Effect::Changes(guard) => match guard.permit().await {
            Ok(permit) => permit,
            Err(refusal) => return Ran::NotPermitted(refusal),
        },
    };
    let started = Instant::now();
    let mut child = match spawn(invocation, effect, &permit) {
        Ok(Ok(child)) => child,
        Ok(Err(refusal)) => return Ran::NotPermitted(refusal),
        Err(error) => {
            let program = invocation.argv.first().map_or("", String::as_str);
            return Ran::NotStarted { message: format!("cannot start `{program}`: {error}") };
        }
    };
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let mut group = Group { id: pid };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let limit = invocation.output_limit_bytes;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let second_try = Notify::new();
    let watch = |text: &[u8]| {
        if invocation.gives_up_at.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(text);
        if invocation.gives_up_at.iter().any(|pattern| pattern.is_match(&text)) {
            second_try.notify_one();
        }
    };
    let ended = {
        let reading = async {
            tokio::join!(
                read_capped(stdout, &mut out, limit, |_| {}),
                read_capped(stderr, &mut err, limit, watch)
            )
        };
        tokio::pin!(reading);
        let work = async {
            tokio::select! {
                (a, b) = &mut reading => (child.wait().await, Some((a, b))),
                status = child.wait() => {
                    (status, tokio::time::timeout(PIPES_AFTER_END, &mut reading).await.ok())
                }
            }
        };
        let work = tokio::time::timeout(invocation.timeout, work);
        tokio::select! {
            // One that has ended has sent what it would.
            biased;
            ended = work => Ok(ended),
            () = second_try.notified() => {
                group.signal(Signal::SIGKILL);
                let lived = started.elapsed();
                // What it had written before it was killed may contain the id of a job that was taken.
                let _ = tokio::time::timeout(PIPES_AFTER_END, &mut reading).await;
                Err(lived)
            }
        }
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let unfinished = |message: String, err: &[u8]| Ran::Unfinished { message, stderr: text(err) };
    let ended = match ended {
        Ok(ended) => ended,
        Err(lived) => {
            // A killed child can be waited for at once; an error would mean that it is gone.
            let _ = child.wait().await;
            group.id = None;
            return Ran::GivenUp { lived, stdout: text(&out), stderr: text(&err) };
        }
    };
    match ended {
        Err(_) => {
            end_group(&mut child, &group).await;
            group.id = None;
            unfinished(format!("no answer within {} s", invocation.timeout.as_secs_f32()), &err)
        }
        Ok((Err(error), _)) => unfinished(format!("cannot wait for it: {error}"), &err),
        Ok((Ok(status), read)) => {
            group.id = None;
            match (status.code(), read) {
                (None, _) => unfinished(format!("its client was killed ({status})"), &err),
                (Some(_), Some((false, _) | (_, false))) => {
                    unfinished(format!("it wrote more than {limit} bytes"), &err)
                }
                (Some(_), None) => unfinished("its output never ended".to_owned(), &err),
                (Some(code), Some(_)) => Ran::Exited { code, stdout: text(&out), stderr: text(&err) },
            }
        }
    }
}

fn spawn(
    invocation: &Invocation,
    effect: Effect<'_>,
    permit: &Permit,
) -> std::io::Result<Result<Child, NotPermitted>> {
    let Some((program, arguments)) = invocation.argv.split_first() else {
        return Err(std::io::Error::other("an empty command"));
    };
    let stdin = match &invocation.stdin {
        Some(path) => Stdio::from(std::fs::File::open(path)?),
        None => Stdio::null(),
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(invocation.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(invocation.directory.as_deref().unwrap_or_else(|| "/".as_ref()))
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Err(refusal) = permit.check() {
        return Ok(Err(refusal));
    }
    if matches!(effect, Effect::Changes(_)) {
        failpoint::hit(FailPoint::CallPermitted);
    }
    command.spawn().map(Ok)
}

/// Reads to the end and shows `watch` what there is; beyond `limit` bytes it reads on but keeps nothing, so that the child
/// never blocks. `false` then.
async fn read_capped(
    pipe: Option<impl AsyncRead + Unpin>,
    into: &mut Vec<u8>,
    limit: usize,
    watch: impl Fn(&[u8]),
) -> bool {
    let Some(mut pipe) = pipe else { return true };
    let mut piece = vec![0_u8; 16 << 10];
    let mut whole = true;
    loop {
        match pipe.read(&mut piece).await {
            Ok(0) => return whole,
            Ok(count) => {
                let kept = count.min(limit.saturating_sub(into.len()));
                into.extend_from_slice(&piece[..kept]);
                watch(into);
                whole &= kept == count;
            }
            Err(_) => return false,
        }
    }
}

async fn end_group(child: &mut Child, group: &Group) {
    group.signal(Signal::SIGTERM);
    if tokio::time::timeout(TERMINATE_TO_KILL, child.wait()).await.is_err() {
        group.signal(Signal::SIGKILL);
        // A killed child can be waited for at once; an error would mean that it is gone.
        let _ = child.wait().await;
    } else {
        // The client is gone; what it started in its group goes with it.
        group.signal(Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Duration) -> Invocation {
        Invocation {
            argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
            whose: Whose::Clients,
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
            stdin: None,
            directory: None,
            timeout,
            output_limit_bytes: 1 << 20,
            gives_up_at: vec![],
        }
    }

    const PATIENT: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn both_pipes_are_read_whatever_their_order() {
        let script = "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789 >&2; i=$((i+1)); done; echo 7; exit 3";
        let Ran::Exited { code, stdout, stderr } = run(&shell(script, PATIENT), Effect::Asks).await else {
            panic!()
        };
        assert_eq!((code, stdout.as_str(), stderr.len()), (3, "7\n", 3000 * 41));
    }

    #[tokio::test]
    async fn a_hanging_command_goes_with_all_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let pid_file = directory.path().join("pid");
        let script = format!("trap '' TERM; sleep 600 & echo $! > {}; wait; wait", pid_file.display());
        let ran = run(&shell(&script, Duration::from_secs(3)), Effect::Asks).await;
        assert!(matches!(ran, Ran::Unfinished { .. }), "{ran:?}");
        let pid = std::fs::read_to_string(pid_file).unwrap();
        let lives = || {
            let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            !state.is_empty() && !state.contains(") Z ")
        };
        // A killed process is gone a moment after the signal.
        for _ in 0..200 {
            if !lives() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("process {} outlived its command", pid.trim());
    }

    #[tokio::test]
    async fn a_killed_client_is_unfinished_and_a_missing_one_never_started() {
        assert!(matches!(run(&shell("kill -9 $$", PATIENT), Effect::Asks).await, Ran::Unfinished { .. }));
        let mut missing = shell("", PATIENT);
        missing.argv = vec!["/nonexistent/sbatch".into()];
        assert!(matches!(run(&missing, Effect::Asks).await, Ran::NotStarted { .. }));
    }

    #[tokio::test]
    async fn clients_that_hang_leave_a_place_for_our_own_program() {
        keep_a_place_for_ourselves();
        let directory = tempfile::tempdir().unwrap();
        let began = |name: &str| directory.path().join(name);
        let hang = |name: &str| shell(&format!("touch {}; sleep 600", began(name).display()), PATIENT);
        let hung: Vec<_> = ["a", "b"]
            .map(|name| {
                tokio::spawn({
                    let invocation = hang(name);
                    async move { run(&invocation, Effect::Asks).await }
                })
            })
            .into();
        while !began("a").exists() && !began("b").exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let own = Invocation { whose: Whose::Ours, ..shell("echo 7", PATIENT) };
        assert!(matches!(run(&own, Effect::Asks).await, Ran::Exited { code: 0, .. }));
        assert!(!(began("a").exists() && began("b").exists()), "two clients at once leave no place");
        hung.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test]
    async fn a_client_that_would_try_again_is_ended_there() {
        let directory = tempfile::tempdir().unwrap();
        let again = directory.path().join("again");
        let said = "printf 'refused, retry' >&2; printf ing >&2";
        let mut client = shell(&format!("{said}; sleep 600; touch {}", again.display()), PATIENT);
        client.gives_up_at = vec![Regex::new("retrying").unwrap()];
        let Ran::GivenUp { lived, stderr, .. } = run(&client, Effect::Asks).await else { panic!() };
        assert_eq!(stderr, "refused, retrying");
        assert!(lived < PATIENT && !again.exists());
        // One that has ended already is not.
        let mut ended = shell("echo 7; echo retrying >&2", PATIENT);
        ended.gives_up_at = client.gives_up_at;
        assert!(matches!(run(&ended, Effect::Asks).await, Ran::GivenUp { .. } | Ran::Exited { code: 0, .. }));
    }

    #[tokio::test]
    async fn too_much_output_is_no_answer() {
        let mut big = shell("yes | head -c 100000", PATIENT);
        big.output_limit_bytes = 1000;
        assert!(matches!(run(&big, Effect::Asks).await, Ran::Unfinished { .. }));
    }

    #[tokio::test]
    async fn nothing_of_our_environment_leaks() {
        let Ran::Exited { stdout, .. } = run(&shell("env", PATIENT), Effect::Asks).await else { panic!() };
        let names: Vec<&str> = stdout.lines().filter_map(|line| line.split('=').next()).collect();
        assert!(names.iter().all(|name| ["PATH", "PWD", "SHLVL", "_", "OLDPWD"].contains(name)), "{names:?}");
    }

    /// Permits nothing before `released` exists.
    struct AfterRelease {
        released: PathBuf,
    }

    impl Guard for AfterRelease {
        fn permit(&self) -> futures_util::future::BoxFuture<'_, Result<Permit, NotPermitted>> {
            let answer = match self.released.exists() {
                true => Ok(Permit::without_lease()),
                false => Err(NotPermitted::because("asked before the wait for a place was over")),
            };
            Box::pin(std::future::ready(answer))
        }
    }

    #[tokio::test]
    async fn a_command_is_permitted_only_after_its_wait_for_a_place() {
        let directory = tempfile::tempdir().unwrap();
        let released = directory.path().join("released");
        let hold = format!("while [ ! -e {} ]; do sleep 0.05; done", released.display());
        let hold = Invocation { whose: Whose::Ours, ..shell(&hold, PATIENT) };
        let held: Vec<_> = (0..CHILDREN_AT_ONCE)
            .map(|_| {
                tokio::spawn({
                    let hold = hold.clone();
                    async move { run(&hold, Effect::Asks).await }
                })
            })
            .collect();
        while CHILDREN.available_permits() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let waiting = tokio::spawn({
            let guard = AfterRelease { released: released.clone() };
            let submit = Invocation { whose: Whose::Ours, ..shell("echo 7", PATIENT) };
            async move { run(&submit, Effect::Changes(&guard)).await }
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!waiting.is_finished(), "it did not wait for a place");
        std::fs::write(&released, "").unwrap();
        let ran = waiting.await.unwrap();
        assert!(matches!(ran, Ran::Exited { code: 0, .. }), "{ran:?}");
        for held in held {
            held.await.unwrap();
        }
    }

    /// Proves a right that runs out before the command starts.
    struct TooLate;

    impl Guard for TooLate {
        fn permit(&self) -> futures_util::future::BoxFuture<'_, Result<Permit, NotPermitted>> {
            Box::pin(std::future::ready(Ok(Permit::through(&std::sync::Arc::default()))))
        }
    }

    #[tokio::test]
    async fn a_permit_that_runs_out_starts_no_command() {
        let directory = tempfile::tempdir().unwrap();
        let mark = directory.path().join("ran");
        let ran = run(&shell(&format!("touch {}", mark.display()), PATIENT), Effect::Changes(&TooLate)).await;
        assert!(matches!(ran, Ran::NotPermitted(_)), "{ran:?}");
        assert!(!mark.exists());
    }
}
