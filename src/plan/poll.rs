//! Whether a poll's answer can be believed. Pure.
//!
//! A scheduler that fails over may answer with success and half the list (`slurmctld` take-over, PBS main of 2025). A
//! job that such an answer omits is not missing.

/// A valid answer compared with what we know to be live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Coverage {
    /// Jobs that the scheduler listed at the previous believed poll and that have left no end record.
    pub expected: usize,
    /// Those of them that this answer does not list.
    pub absent: usize,
}

/// What to do with an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Belief {
    /// Absence means something.
    Whole,
    /// Use what is listed, draw no conclusion from absence.
    Doubtful,
}

/// Judges an answer: losing more than 3 jobs and more than 30 % of the expected ones at once is doubtful, unless the
/// answer before lost them as well (`doubted_before`).
pub fn judge(coverage: Coverage, doubted_before: usize) -> Belief {
    let many = coverage.absent > 3 && coverage.absent * 10 > coverage.expected * 3;
    let confirmed = doubted_before > 0 && coverage.absent >= doubted_before;
    if many && !confirmed { Belief::Doubtful } else { Belief::Whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_is_doubted_once() {
        let all_gone = Coverage { expected: 50, absent: 50 };
        assert_eq!(judge(all_gone, 0), Belief::Doubtful);
        assert_eq!(judge(all_gone, 50), Belief::Whole);
    }

    #[test]
    fn a_few_that_leave_are_believed() {
        assert_eq!(judge(Coverage { expected: 3, absent: 3 }, 0), Belief::Whole);
        assert_eq!(judge(Coverage { expected: 100, absent: 30 }, 0), Belief::Whole);
    }
}
