//! How many tasks fit side by side in the job's cores and memory. Pure.

/// Cores and memory, of a job or of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// Cores.
    pub cores: u32,
    /// Memory.
    pub memory_bytes: u64,
}

/// What of the job's share is free.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    whole: Share,
    free: Share,
}

impl Budget {
    /// All of `whole` is free. A job has at least one core, whatever its manifest says.
    pub fn new(whole: Share) -> Budget {
        let whole = Share { cores: whole.cores.max(1), ..whole };
        Budget { whole, free: whole }
    }

    /// What a task that wants `wanted` is given: a task that wants more than the job has gets all of it, and at least
    /// one core.
    fn granted(&self, wanted: Share) -> Share {
        Share {
            cores: wanted.cores.clamp(1, self.whole.cores),
            memory_bytes: wanted.memory_bytes.min(self.whole.memory_bytes),
        }
    }

    /// Takes what a task wants, if that much is free now.
    pub fn take(&mut self, wanted: Share) -> Option<Share> {
        let granted = self.granted(wanted);
        let fits = granted.cores <= self.free.cores && granted.memory_bytes <= self.free.memory_bytes;
        fits.then(|| {
            self.free.cores -= granted.cores;
            self.free.memory_bytes -= granted.memory_bytes;
            granted
        })
    }

    /// Gives back what `take` gave.
    pub fn give_back(&mut self, granted: Share) {
        self.free.cores += granted.cores;
        self.free.memory_bytes += granted.memory_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn share(cores: u32, memory_bytes: u64) -> Share {
        Share { cores, memory_bytes }
    }

    fn side_by_side(job: Share, task: Share) -> usize {
        let mut budget = Budget::new(job);
        std::iter::from_fn(|| budget.take(task)).take(100).count()
    }

    #[test]
    fn the_scarcer_of_cores_and_memory_decides() {
        assert_eq!(side_by_side(share(8, 100), share(1, 10)), 8);
        assert_eq!(side_by_side(share(8, 100), share(1, 30)), 3);
        assert_eq!(side_by_side(share(8, 100), share(3, 1)), 2);
    }

    #[test]
    fn a_task_larger_than_the_job_runs_alone_with_all_there_is() {
        let mut budget = Budget::new(share(4, 100));
        let granted = budget.take(share(16, 1000)).unwrap();
        assert_eq!(granted, share(4, 100));
        assert_eq!(budget.take(share(1, 1)), None);
        budget.give_back(granted);
        assert_eq!(budget.take(share(1, 1)), Some(share(1, 1)));
        assert_eq!(budget.take(share(4, 1)), None);
        assert_eq!(side_by_side(share(0, 0), share(1, 1)), 1);
    }
}
