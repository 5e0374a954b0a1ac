//! What the texts of a configuration may contain, kind by kind.
//! Pure.

use tracing_subscriber::EnvFilter;

use super::schema::{Kind, MPI_PLACEHOLDERS, PATH_PLACEHOLDERS};
use crate::model::ids::is_compute_tag;

/// Longest name of a site or pool: it is a directory's name and a column's key.
const NAME_BYTES: usize = 63;

/// Whether `content` is a text of `kind`. The error says what is wrong if [`Kind::allowed`] does not.
pub(super) fn check(kind: &Kind, content: &str) -> Result<(), Option<String>> {
    if content.is_empty() {
        return Err(Some("empty".into()));
    }
    if has_control(content) {
        return Err(Some("control characters or line ends".into()));
    }
    let allowed = match kind {
        Kind::Word => !content.starts_with('-') && !content.contains(char::is_whitespace),
        Kind::Name => is_name(content),
        Kind::Choice(words) => words.contains(&content),
        Kind::Path => return check_path(content),
        Kind::Program if content.contains('/') => return check_path(content),
        Kind::Program => !content.starts_with('-') && !content.contains(char::is_whitespace),
        Kind::FileName => !content.contains('/') && content != "." && content != "..",
        Kind::ProgramName => content == "*" || content.bytes().all(|byte| is_lower(byte) || byte == b'+'),
        Kind::ComputeTag => is_compute_tag(content),
        Kind::ShellLine => true,
        Kind::MpiCommand => return check_mpi_command(content),
        Kind::Directive => content.starts_with('-'),
        Kind::VariableName => is_variable_name(content),
        Kind::DatabaseUrl => return check_database_url(content),
        Kind::LogFilter => is_log_filter(content),
        Kind::Integer { .. }
        | Kind::Duration { .. }
        | Kind::Size { .. }
        | Kind::Variables
        | Kind::List(_) => false,
    };
    if allowed { Ok(()) } else { Err(None) }
}

/// Characters that would break a line of a script or of a log; a tab is none.
pub(super) fn has_control(content: &str) -> bool {
    content.chars().any(|c| c.is_control() && c != '\t')
}

/// A name that every shell takes for a variable.
pub(super) fn is_variable_name(content: &str) -> bool {
    !content.starts_with(|c: char| c.is_ascii_digit())
        && !content.is_empty()
        && content.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn is_name(content: &str) -> bool {
    content.len() <= NAME_BYTES
        && content.starts_with(|c: char| c.is_ascii_alphanumeric())
        && content.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b'-')
}

fn check_path(content: &str) -> Result<(), Option<String>> {
    if !["/", "~/", "{home}", "{state}"].iter().any(|start| content.starts_with(start)) {
        return Err(Some("not absolute".into()));
    }
    placeholders(content, &PATH_PLACEHOLDERS).map(|_| ())
}

/// The words between braces, all of them among `known`.
fn placeholders<'a>(content: &'a str, known: &[&str]) -> Result<Vec<&'a str>, Option<String>> {
    let (mut rest, mut words) = (content, Vec::new());
    while let Some(open) = rest.find('{') {
        let after = &rest[open + 1..];
        let close = after.find('}').ok_or_else(|| Some("`{` without `}`".to_owned()))?;
        let word = &after[..close];
        if !known.contains(&word) {
            return Err(Some(format!("`{{{word}}}` stands for nothing")));
        }
        words.push(word);
        rest = &after[close + 1..];
    }
    Ok(words)
}

/// As strict as QCEngine, which would refuse it in every job.
fn check_mpi_command(content: &str) -> Result<(), Option<String>> {
    let words = placeholders(content, &MPI_PLACEHOLDERS)?;
    let has = |word| words.contains(&word);
    if !has("ranks_per_node") || !(has("total_ranks") || has("nnodes")) {
        return Err(Some("it says not how many".into()));
    }
    Ok(())
}

/// Stricter than `EnvFilter`, for which every word is a target: a word alone must be a level.
fn is_log_filter(content: &str) -> bool {
    let words = content.split(',').filter(|part| !part.contains(['=', '[', ']', '{', '}']));
    let is_level = |word: &str| word.trim().parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    words.into_iter().all(is_level) && EnvFilter::try_new(content).is_ok()
}

/// Asks the parser that will read it in the end. What it says may quote the secret, so only its kind is passed on.
fn check_database_url(content: &str) -> Result<(), Option<String>> {
    if let Some((scheme, _)) = content.split_once("://")
        && !["postgres", "postgresql"].contains(&scheme)
    {
        return Err(Some("not a PostgreSQL URL".into()));
    }
    let parsed: tokio_postgres::Config = content.parse().map_err(|_| Some("cannot be read".to_owned()))?;
    if parsed.get_hosts().is_empty() && parsed.get_hostaddrs().is_empty() {
        return Err(Some("no host".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
