//! What is wrong with an adapter file, shown with file, line, the offending text and what is allowed. Pure.
//! All problems are collected before anything is refused.

use std::ops::Range;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// The files an adapter is made of, from the built-in one to the user's last.
///
/// A later file is parsed behind blanks as long as all earlier ones, so that one span names both file and place.
#[derive(Default, Debug)]
pub struct Sources {
    files: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    text: String,
    start: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Where, in the numbering of [`Sources`].
    pub span: Range<usize>,
    /// What is wrong.
    pub title: String,
    /// What would be right.
    pub allowed: String,
}

impl Sources {
    /// Adds a file and returns its text behind enough blanks to make its spans unique.
    pub fn add(&mut self, path: PathBuf, text: String) -> String {
        let start = self.files.last().map_or(0, |last| last.start + last.text.len() + 1);
        let padded = format!("{}{text}", " ".repeat(start));
        self.files.push(Source { path, text, start });
        padded
    }

    /// The last file's beginning: where problems of no particular place are shown.
    pub fn last_start(&self) -> usize {
        self.files.last().map_or(0, |last| last.start)
    }

    /// File and line of `span`, for one-line messages.
    pub fn place(&self, span: &Range<usize>) -> String {
        let Some(source) = self.source(span) else { return "?".to_owned() };
        let offset = (span.start - source.start).min(source.text.len());
        let line = source.text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{}:{line}", source.path.display())
    }

    fn source(&self, span: &Range<usize>) -> Option<&Source> {
        self.files.iter().rev().find(|source| span.start >= source.start)
    }

    /// Renders `problems` for a terminal, without colours.
    pub fn report(&self, problems: &[Problem]) -> String {
        let renderer = Renderer::plain();
        let mut texts = Vec::new();
        for problem in problems {
            let title = Level::ERROR.primary_title(problem.title.as_str());
            let group = match self.source(&problem.span) {
                None => annotate_snippets::Group::with_title(title),
                Some(source) => {
                    let clip = |place: usize| place.saturating_sub(source.start).min(source.text.len());
                    let annotation = AnnotationKind::Primary
                        .span(clip(problem.span.start)..clip(problem.span.end))
                        .label(problem.allowed.as_str());
                    title.element(
                        Snippet::source(source.text.as_str())
                            .path(source.path.to_string_lossy())
                            .annotation(annotation),
                    )
                }
            };
            texts.push(renderer.render(&[group]));
        }
        texts.join("\n\n")
    }
}

/// Collects problems while a document is checked.
#[derive(Default, Debug)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Notes one.
    pub fn add(&mut self, span: Range<usize>, title: impl Into<String>, allowed: impl Into<String>) {
        self.0.push(Problem { span, title: title.into(), allowed: allowed.into() });
    }
}
