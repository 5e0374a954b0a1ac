//! When a scheduler that refused for now is called again before its time: as soon as it answers after a silence. Pure.
//!
//! A back-off that has grown during an outage must not outlast it. An answer to a poll is a cheap sign that the scheduler is
//! there again; it counts once for each silence, because a scheduler may go on refusing submissions while it answers polls.

/// What is known of one scheduler's refusals.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Outage {
    /// The last submission was taken, or refused for a reason that waiting does not mend.
    #[default]
    Over,
    /// A submission was refused for now, and the scheduler has answered nothing since.
    Silent,
    /// It has answered since; what it refused was tried once more, or is about to be.
    Answered,
}

/// What an answer calls for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// Submit at once what was put off.
    AtOnce,
    /// Each submission waits for its time.
    InTime,
}

impl Outage {
    /// A submission was refused for now, or the scheduler could not be reached for it.
    pub fn refused(&mut self) {
        if *self == Outage::Over {
            *self = Outage::Silent;
        }
    }

    /// A question was not answered.
    pub fn silence(&mut self) {
        if *self == Outage::Answered {
            *self = Outage::Silent;
        }
    }

    /// A question was answered.
    pub fn answer(&mut self) -> Retry {
        match self {
            Outage::Silent => {
                *self = Outage::Answered;
                Retry::AtOnce
            }
            Outage::Over | Outage::Answered => Retry::InTime,
        }
    }

    /// A submission was taken.
    pub fn taken(&mut self) {
        *self = Outage::Over;
    }

    /// Whether the scheduler is worth asking although none of our jobs is there: submissions wait for its answer.
    pub fn is_waited_out(self) -> bool {
        self != Outage::Over
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_answer_after_a_silence_ends_the_waiting_and_no_later_one() {
        let mut outage = Outage::default();
        assert_eq!((outage.answer(), outage.is_waited_out()), (Retry::InTime, false));
        outage.refused();
        outage.silence();
        assert_eq!((outage.answer(), outage.is_waited_out()), (Retry::AtOnce, true));
        outage.refused();
        assert_eq!(outage.answer(), Retry::InTime, "it answers polls and refuses submissions: these wait");
        outage.silence();
        assert_eq!(outage.answer(), Retry::AtOnce, "it was away once more");
        outage.taken();
        assert_eq!((outage.answer(), outage.is_waited_out()), (Retry::InTime, false));
    }

    proptest! {
        /// However refusals, silences and answers follow each other, nothing is tried twice without a silence or a
        /// submission that was taken in between.
        #[test]
        fn each_silence_allows_one_early_call(events in prop::collection::vec(0u8..4, 0..60)) {
            let mut outage = Outage::default();
            let mut tried = false;
            for event in events {
                match event {
                    0 => outage.refused(),
                    1 => { outage.silence(); tried = false; }
                    2 => { outage.taken(); tried = false; }
                    _ => if outage.answer() == Retry::AtOnce {
                        prop_assert!(!tried);
                        tried = true;
                    },
                }
            }
        }
    }
}
