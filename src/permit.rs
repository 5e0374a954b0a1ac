//! The right to act outside the database: to submit and cancel jobs, to publish, take back and remove files. Only the
//! daemon that holds its site's lease has it, and only while the lease cannot have gone to another daemon.
//!
//! The database refuses writes of a daemon that lost its lease by itself; a scheduler and a file system do not. So every
//! such effect must show a [`Permit`], and asks it at the last moment whether it is still good.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use nix::time::{ClockId, clock_gettime};

/// The permit is no longer good: the effect must not happen.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("this daemon may not act now: {why}")]
pub struct NotPermitted {
    /// Why.
    pub why: String,
}

impl NotPermitted {
    /// For this reason.
    pub fn because(why: impl Into<String>) -> NotPermitted {
        NotPermitted { why: why.into() }
    }
}

/// Whoever can say whether an effect may happen now.
pub trait Guard: Send + Sync {
    /// Proves the right to act. Asked after every wait that comes before an effect, such as that for a place among the
    /// scheduler's clients.
    fn permit(&self) -> BoxFuture<'_, Result<Permit, NotPermitted>>;
}

/// A right to act that was just proven, and that runs out by itself. Effects ask [`Permit::check`] at their last
/// instruction.
#[derive(Clone, Debug)]
pub struct Permit {
    gate: Option<Arc<Gate>>,
}

impl Permit {
    /// A permit that is good while `gate` is open.
    pub fn through(gate: &Arc<Gate>) -> Permit {
        Permit { gate: Some(Arc::clone(gate)) }
    }

    /// A permit for work that no daemon does and that no lease protects: trials of an adapter, tests.
    pub fn without_lease() -> Permit {
        Permit { gate: None }
    }

    /// Whether the effect may happen at this moment.
    pub fn check(&self) -> Result<(), NotPermitted> {
        match &self.gate {
            Some(gate) => gate.check(),
            None => Ok(()),
        }
    }
}

/// For work that no daemon does and that no lease protects: trials of an adapter, tests.
#[derive(Clone, Copy, Debug)]
pub struct WithoutLease;

impl Guard for WithoutLease {
    fn permit(&self) -> BoxFuture<'_, Result<Permit, NotPermitted>> {
        Box::pin(std::future::ready(Ok(Permit::without_lease())))
    }
}

/// Open until a moment of this machine's clock since boot, which counts while the machine sleeps and cannot be set.
#[derive(Debug, Default)]
pub struct Gate {
    /// Nanoseconds since boot; 0 while it was never open.
    open_until: AtomicU64,
    closed_for_good: AtomicBool,
}

impl Gate {
    /// Keeps the gate open until `since_boot`, unless it is open for longer already or closed for good.
    pub fn open_until(&self, since_boot: Duration) {
        self.open_until.fetch_max(nanoseconds(since_boot), Ordering::AcqRel);
    }

    /// Closes the gate; it stays closed whatever comes.
    pub fn close_for_good(&self) {
        self.closed_for_good.store(true, Ordering::Release);
    }

    /// Whether it stays closed.
    pub fn is_closed_for_good(&self) -> bool {
        self.closed_for_good.load(Ordering::Acquire)
    }

    /// Whether one may pass now.
    pub fn check(&self) -> Result<(), NotPermitted> {
        if self.is_closed_for_good() {
            return Err(NotPermitted::because("it has lost the site's lease, or given it back"));
        }
        let now = since_boot().map_err(|error| NotPermitted::because(format!("no clock: {error}")))?;
        if nanoseconds(now) < self.open_until.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(NotPermitted::because("the site's lease could not be renewed for too long"))
    }
}

/// The time since this machine's boot, times of sleep included.
pub fn since_boot() -> std::io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_BOOTTIME)?.into())
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_closed_before_it_was_opened_and_after_its_time() {
        let gate = Arc::new(Gate::default());
        let permit = Permit::through(&gate);
        assert!(permit.check().is_err(), "never opened");
        let now = since_boot().unwrap();
        gate.open_until(now.saturating_sub(Duration::from_nanos(1)));
        assert!(permit.check().is_err(), "its time is over");
        gate.open_until(now + Duration::from_secs(600));
        permit.check().unwrap();
        gate.open_until(now);
        permit.check().unwrap();
    }

    #[test]
    fn a_gate_that_was_closed_for_good_opens_no_more() {
        let gate = Arc::new(Gate::default());
        gate.open_until(Duration::from_secs(1 << 33));
        let permit = Permit::through(&gate);
        permit.check().unwrap();
        gate.close_for_good();
        gate.open_until(Duration::from_secs(1 << 34));
        assert!(permit.check().unwrap_err().to_string().contains("lost the site's lease"));
    }
}
