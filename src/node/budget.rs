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
mod tests;
