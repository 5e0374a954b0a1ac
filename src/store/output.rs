//! Outputs of attempts, native files and wavefunctions: zstd over MessagePack, as QCArchive stores them.
//! Touches `output_store`, `native_file` and `wavefunction_store`.

/// What an attempt leaves behind as text, in QCArchive's words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum OutputType {
    /// What the program printed.
    Stdout,
    /// What it and its worker wrote to standard error.
    Stderr,
    /// The error.
    Error,
}

impl OutputType {
    /// Every type.
    pub const ALL: [OutputType; 3] = [OutputType::Stdout, OutputType::Stderr, OutputType::Error];

    /// The word used in SQL, JSON and the CLI.
    pub const fn as_str(self) -> &'static str {
        match self {
            OutputType::Stdout => "stdout",
            OutputType::Stderr => "stderr",
            OutputType::Error => "error",
        }
    }

    /// The type that `word` names.
    pub fn parse(word: &str) -> Option<OutputType> {
        Self::ALL.into_iter().find(|output| output.as_str() == word)
    }
}
