//! What the scheduler's messages mean, by patterns. Pure.

use regex::Regex;

/// What a message means. The order decides when several match: what is safest to believe comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum MessageClass {
    /// A submission was taken, whatever the exit code says.
    Accepted,
    /// The call may or may not have had its effect.
    Unclear,
    /// An optional service is not there at all.
    Unavailable,
    /// A limit on jobs is reached.
    Limit,
    /// Try again later.
    Transient,
    /// The thing asked for will never be.
    Permanent,
    /// The job or name asked about is not known.
    NotFound,
    /// Chatter.
    Harmless,
}

impl MessageClass {
    /// Every class.
    pub const ALL: [MessageClass; 8] = [
        MessageClass::Accepted,
        MessageClass::Unclear,
        MessageClass::Unavailable,
        MessageClass::Limit,
        MessageClass::Transient,
        MessageClass::Permanent,
        MessageClass::NotFound,
        MessageClass::Harmless,
    ];

    /// The word used in adapters.
    pub const fn as_str(self) -> &'static str {
        match self {
            MessageClass::Accepted => "accepted",
            MessageClass::Unclear => "unclear",
            MessageClass::Unavailable => "unavailable",
            MessageClass::Limit => "limit",
            MessageClass::Transient => "transient",
            MessageClass::Permanent => "permanent",
            MessageClass::NotFound => "not_found",
            MessageClass::Harmless => "harmless",
        }
    }

    /// The class that `word` names.
    pub fn parse(word: &str) -> Option<MessageClass> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }
}

/// What is asked of a scheduler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// Version, settings.
    Probe,
    /// Submit a job.
    Submit,
    /// Look a tag up.
    FindByTag,
    /// List the ids of the user's jobs, which the poll then asks about.
    PollIds,
    /// List all of the user's jobs.
    Poll,
    /// Ask the books.
    PostMortem,
    /// End jobs.
    Cancel,
    /// Keep jobs from starting.
    Hold,
    /// Let them start.
    Release,
    /// Limits on the user's jobs.
    Limits,
    /// Limits of queues, qualities of service and accounts.
    Queues,
    /// Whether the scheduler answers at all.
    Alive,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Verb; 12] = [
        Verb::Probe,
        Verb::Submit,
        Verb::FindByTag,
        Verb::PollIds,
        Verb::Poll,
        Verb::PostMortem,
        Verb::Cancel,
        Verb::Hold,
        Verb::Release,
        Verb::Limits,
        Verb::Queues,
        Verb::Alive,
    ];

    /// The word used in adapters and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verb::Probe => "probe",
            Verb::Submit => "submit",
            Verb::FindByTag => "find_by_tag",
            Verb::PollIds => "poll_ids",
            Verb::Poll => "poll",
            Verb::PostMortem => "post_mortem",
            Verb::Cancel => "cancel",
            Verb::Hold => "hold",
            Verb::Release => "release",
            Verb::Limits => "limits",
            Verb::Queues => "queues",
            Verb::Alive => "alive",
        }
    }

    /// The verb that `word` names.
    pub fn parse(word: &str) -> Option<Verb> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == word)
    }
}

/// One pattern and what it means.
#[derive(Clone, Debug)]
pub struct Message {
    /// Searched for in the whole text; `^` and `$` stand for lines.
    pub pattern: Regex,
    /// What it means.
    pub class: MessageClass,
    /// Verbs it applies to; empty = all.
    pub verbs: Vec<Verb>,
    /// Exit codes it applies to; empty = all.
    pub exit_codes: Vec<i32>,
}

impl Message {
    fn fits(&self, verb: Verb, text: &str) -> bool {
        (self.verbs.is_empty() || self.verbs.contains(&verb)) && self.pattern.is_match(text)
    }
}

/// All of an adapter's messages.
#[derive(Clone, Default, Debug)]
pub struct Messages(pub Vec<Message>);

impl Messages {
    /// What `text` means as the answer to `verb`: the first class, in their order, that any pattern gives it.
    pub fn class(&self, verb: Verb, text: &str) -> Option<MessageClass> {
        self.matching(verb, text).map(|message| message.class).min()
    }

    /// What `text` means from a command that ended with `exit_code`: messages held to exit codes count as well.
    pub fn class_with(&self, verb: Verb, text: &str, exit_code: i32) -> Option<MessageClass> {
        let held = self.0.iter().filter(|message| message.exit_codes.contains(&exit_code));
        let held = held.filter(|message| message.fits(verb, text)).map(|message| message.class);
        held.chain(self.class(verb, text)).min()
    }

    /// The first line of `text` that no pattern knows.
    pub fn unknown_line<'t>(&self, verb: Verb, text: &'t str) -> Option<&'t str> {
        text.lines()
            .filter(|line| !line.trim().is_empty())
            .find(|line| self.matching(verb, line).next().is_none())
    }

    fn matching<'m>(&'m self, verb: Verb, text: &'m str) -> impl Iterator<Item = &'m Message> {
        self.0
            .iter()
            .filter(|message| message.exit_codes.is_empty())
            .filter(move |message| message.fits(verb, text))
    }
}
