//! How many tasks fit side by side in the job's cores, memory and GPUs. Pure.

/// Cores, memory and GPUs, of a job or of a task.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Share {
    /// Cores.
    pub cores: u32,
    /// Memory.
    pub memory_bytes: u64,
    /// GPUs.
    pub gpus: u32,
}

/// What a task was given, until it is given back.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Grant {
    /// How much.
    pub share: Share,
    /// Its own GPUs, as `CUDA_VISIBLE_DEVICES` names them.
    pub gpus: Vec<String>,
}

/// What of the job's share is free.
#[derive(Clone, Debug)]
pub struct Budget {
    whole: Share,
    free: Share,
    free_gpus: Vec<String>,
}

impl Budget {
    /// All of it is free. A job has at least one core, whatever its manifest says.
    pub fn new(cores: u32, memory_bytes: u64, mut gpus: Vec<String>) -> Budget {
        let count = u32::try_from(gpus.len()).unwrap_or(u32::MAX);
        let whole = Share { cores: cores.max(1), memory_bytes, gpus: count };
        // Taken from the end: the first one first.
        gpus.reverse();
        Budget { whole, free: whole, free_gpus: gpus }
    }

    /// What the job has.
    pub fn whole(&self) -> Share {
        self.whole
    }

    /// What a task that wants `wanted` is given: a task that wants more than the job has gets all of it, and at least
    /// one core.
    fn granted(&self, wanted: Share) -> Share {
        Share {
            cores: wanted.cores.clamp(1, self.whole.cores),
            memory_bytes: wanted.memory_bytes.min(self.whole.memory_bytes),
            gpus: wanted.gpus.min(self.whole.gpus),
        }
    }

    /// Whether a task that wants `wanted` could start now.
    pub fn has_room_for(&self, wanted: Share) -> bool {
        let granted = self.granted(wanted);
        granted.cores <= self.free.cores
            && granted.memory_bytes <= self.free.memory_bytes
            && granted.gpus <= self.free.gpus
    }

    /// Whether no task at all could start now.
    pub fn is_full(&self) -> bool {
        self.free.cores == 0
    }

    /// Takes what a task wants, if that much is free now.
    pub fn take(&mut self, wanted: Share) -> Option<Grant> {
        if !self.has_room_for(wanted) {
            return None;
        }
        let share = self.granted(wanted);
        self.free.cores -= share.cores;
        self.free.memory_bytes -= share.memory_bytes;
        self.free.gpus -= share.gpus;
        let gpus = (0..share.gpus).filter_map(|_| self.free_gpus.pop()).collect();
        Some(Grant { share, gpus })
    }

    /// Gives back what `take` gave.
    pub fn give_back(&mut self, grant: Grant) {
        self.free.cores += grant.share.cores;
        self.free.memory_bytes += grant.share.memory_bytes;
        self.free.gpus += grant.share.gpus;
        self.free_gpus.extend(grant.gpus.into_iter().rev());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn share(cores: u32, memory_bytes: u64) -> Share {
        Share { cores, memory_bytes, gpus: 0 }
    }

    fn side_by_side(job: Share, task: Share) -> usize {
        let mut budget = Budget::new(job.cores, job.memory_bytes, vec![]);
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
        let mut budget = Budget::new(4, 100, vec![]);
        let grant = budget.take(share(16, 1000)).unwrap();
        assert_eq!(grant.share, share(4, 100));
        assert_eq!(budget.take(share(1, 1)), None);
        budget.give_back(grant);
        assert_eq!(budget.take(share(1, 1)).unwrap().share, share(1, 1));
        assert_eq!(budget.take(share(4, 1)), None);
        assert_eq!(side_by_side(share(0, 0), share(1, 1)), 1);
    }

    #[test]
    fn each_gpu_has_one_user_at_a_time() {
        let mut budget = Budget::new(8, 100, ["2", "5", "7"].map(String::from).to_vec());
        let task = |gpus: u32| Share { gpus, ..share(1, 1) };
        let one = budget.take(task(1)).unwrap();
        let two = budget.take(task(2)).unwrap();
        assert_eq!(
            (one.gpus.clone(), two.gpus.clone()),
            (vec!["2".to_owned()], vec!["5".into(), "7".into()])
        );
        assert_eq!(budget.take(task(1)), None);
        assert!(budget.take(task(0)).is_some(), "a task without GPUs still has room");
        budget.give_back(two);
        assert_eq!(budget.take(task(1)).unwrap().gpus, ["5"]);
        budget.give_back(one);
        assert_eq!(budget.take(task(9)), None, "all three are wanted, one is in use");
    }
}
