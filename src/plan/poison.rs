//! What is done with a batch of results that the database fails to store again and again, although it answers. Pure.
//!
//! A statement that takes too long or too much memory looks like a database in trouble. One job's results must not stay
//! unread for ever because of one report among them.

use std::time::Duration;

/// Failures after which a batch is stored report by report.
const APART_AFTER: u32 = 3;
/// Failures after which what still fails is set aside, and the least time that they must have taken: a database in
/// trouble gets time to recover.
const ASIDE_AFTER: u32 = 6;
const ASIDE_TIME: Duration = Duration::from_secs(600);

/// How a batch is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Storing {
    /// All reports in a few statements.
    Together,
    /// One by one; one that fails makes the batch fail.
    Apart,
    /// One by one; one that fails ends its record in error with the database's words.
    Aside,
}

/// How a batch is stored that has failed so often, for the first time so long ago.
pub fn storing(failures: u32, since: Duration) -> Storing {
    match failures {
        0..APART_AFTER => Storing::Together,
        APART_AFTER..ASIDE_AFTER => Storing::Apart,
        _ if since < ASIDE_TIME => Storing::Apart,
        _ => Storing::Aside,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_fails_again_and_again_is_taken_apart_and_then_set_aside() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        assert_eq!(storing(0, minutes(0)), Storing::Together);
        assert_eq!(storing(2, minutes(60)), Storing::Together);
        assert_eq!(storing(3, minutes(1)), Storing::Apart);
        assert_eq!(storing(40, minutes(9)), Storing::Apart);
        assert_eq!(storing(6, minutes(10)), Storing::Aside);
    }
}
