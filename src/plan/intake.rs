//! How long one submission may keep all others waiting. Pure.
//!
//! One submission at a time decides what is new, so a client that sends its documents slowly holds up everybody else.

use std::time::Duration;

/// The limits of one intake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IntakeLimits {
    /// How long a submission waits for its turn before it is told that another one is being taken in.
    pub wait: Duration,
    /// How long an intake may take altogether.
    pub life: Duration,
    /// How long an intake may wait for its client at a stretch. Shorter than the time after which the database ends an
    /// idle transaction (30 s), so that the client is told why.
    pub silence: Duration,
    /// How long an intake may wait for its client altogether while other submissions wait for their turn.
    pub idle: Duration,
}

impl Default for IntakeLimits {
    fn default() -> IntakeLimits {
        IntakeLimits {
            wait: Duration::from_secs(10),
            life: Duration::from_secs(15 * 60),
            silence: Duration::from_secs(25),
            idle: Duration::from_secs(20),
        }
    }
}

/// How far an intake has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IntakeCourse {
    /// Time since it began.
    pub age: Duration,
    /// Time since the client sent its last batch.
    pub silence: Duration,
    /// All the time that it has waited for its client, the present silence included.
    pub idle: Duration,
    /// Number of submissions that wait for their turn.
    pub others: usize,
}

/// Whether an intake may go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IntakeVerdict {
    /// It may.
    GoesOn,
    /// It has taken longer than any intake may.
    TooLong,
    /// Its client sends too slowly.
    TooSlow,
}

/// Judges an intake that waits for its client.
pub fn judge(limits: &IntakeLimits, course: IntakeCourse) -> IntakeVerdict {
    if course.age >= limits.life {
        IntakeVerdict::TooLong
    } else if course.silence >= limits.silence || (course.others > 0 && course.idle >= limits.idle) {
        IntakeVerdict::TooSlow
    } else {
        IntakeVerdict::GoesOn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_client_holds_others_up_for_a_limited_time_only() {
        let limits = IntakeLimits::default();
        let course = |age, silence, idle, others| IntakeCourse {
            age: Duration::from_secs(age),
            silence: Duration::from_secs(silence),
            idle: Duration::from_secs(idle),
            others,
        };
        let cases = [
            // A quick client with millions of documents, others waiting.
            (course(600, 0, 5, 7), IntakeVerdict::GoesOn),
            // Slow, and nobody minds.
            (course(600, 18, 590, 0), IntakeVerdict::GoesOn),
            // A batch every 18 seconds while others wait.
            (course(36, 18, 36, 1), IntakeVerdict::TooSlow),
            // A client that was stopped, whether anybody waits or not.
            (course(30, 25, 25, 0), IntakeVerdict::TooSlow),
            // However quick it is, it ends.
            (course(900, 0, 5, 0), IntakeVerdict::TooLong),
        ];
        for (course, verdict) in cases {
            assert_eq!(judge(&limits, course), verdict, "{course:?}");
        }
    }
}
