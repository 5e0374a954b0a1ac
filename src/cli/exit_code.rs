//! Exit codes: a public promise to scripts, described in `docs/exit-codes.md`. Pure.

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitCode {
    /// Everything that was asked was done.
    Success,
    /// The command worked, what it was about did not: a record ended without a result, or the daemon refused.
    Failed,
    /// The command line cannot be understood.
    Usage,
    /// An input was refused; nothing was stored.
    BadInput,
    /// The daemon does not answer.
    DaemonUnreachable,
    /// No such record, job or output.
    NotFound,
    /// The configuration is wrong.
    BadConfig,
    /// `--timeout` passed first.
    TimedOut,
    /// A bug of qcbatch.
    Bug,
}

impl ExitCode {
    /// Every code.
    pub const ALL: [ExitCode; 9] = [
        ExitCode::Success,
        ExitCode::Failed,
        ExitCode::Usage,
        ExitCode::BadInput,
        ExitCode::DaemonUnreachable,
        ExitCode::NotFound,
        ExitCode::BadConfig,
        ExitCode::TimedOut,
        ExitCode::Bug,
    ];

    /// The number.
    pub const fn number(self) -> u8 {
        match self {
            ExitCode::Success => 0,
            ExitCode::Failed => 1,
            ExitCode::Usage => 2,
            ExitCode::BadInput => 3,
            ExitCode::DaemonUnreachable => 4,
            ExitCode::NotFound => 5,
            ExitCode::BadConfig => 6,
            ExitCode::TimedOut => 7,
            ExitCode::Bug => 70,
        }
    }

    /// What it says, as `docs/exit-codes.md` has it.
    pub const fn meaning(self) -> &'static str {
        match self {
            ExitCode::Success => "everything that was asked was done",
            ExitCode::Failed => "a record ended without a result, or the request was refused or failed",
            ExitCode::Usage => "the command line cannot be understood",
            ExitCode::BadInput => "an input was refused; nothing was stored",
            ExitCode::DaemonUnreachable => "the daemon does not answer",
            ExitCode::NotFound => "no such record, job, output or pool",
            ExitCode::BadConfig => "the configuration is wrong",
            ExitCode::TimedOut => "the given --timeout passed first",
            ExitCode::Bug => "a bug of qcbatch",
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> std::process::ExitCode {
        std::process::ExitCode::from(code.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_the_same() {
        let page = include_str!("../../docs/exit-codes.md");
        let told: Vec<&str> =
            page.lines().filter(|line| line.starts_with("| ") && line.contains('`')).collect();
        let meant: Vec<String> = ExitCode::ALL
            .iter()
            .map(|code| format!("| `{}` | {} |", code.number(), code.meaning()))
            .collect();
        assert_eq!(told, meant);
    }
}
