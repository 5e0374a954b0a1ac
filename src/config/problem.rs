//! Problems of a configuration, each with its place, and their rendering for a terminal or a log.
//! Pure.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::source::{Place, Source};

/// How much a problem matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is used as it is.
    Warning,
}

/// How problems are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RenderStyle {
    /// Without colours: files, pipes, logs.
    Plain,
    /// With ANSI colours.
    Coloured,
}

/// One problem with its place and what would be right.
#[derive(Clone, Debug)]
pub struct Problem {
    pub(super) severity: Severity,
    pub(super) title: String,
    pub(super) place: Option<Place>,
    /// What is said at the place.
    pub(super) label: String,
    /// A second place, with what is said there.
    pub(super) context: Option<(Place, String)>,
    pub(super) help: Option<String>,
}

impl Problem {
    pub(super) fn error(title: impl Into<String>, place: Place, label: impl Into<String>) -> Problem {
        let (title, label) = (title.into(), label.into());
        Problem { severity: Severity::Error, title, place: Some(place), label, context: None, help: None }
    }

    pub(super) fn warning(title: impl Into<String>, place: Place, label: impl Into<String>) -> Problem {
        Problem { severity: Severity::Warning, ..Problem::error(title, place, label) }
    }

    pub(super) fn without_place(severity: Severity, title: impl Into<String>) -> Problem {
        Problem {
            severity,
            title: title.into(),
            place: None,
            label: String::new(),
            context: None,
            help: None,
        }
    }

    pub(super) fn with_help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    pub(super) fn with_context(mut self, place: Place, label: impl Into<String>) -> Problem {
        self.context = Some((place, label.into()));
        self
    }

    /// Whether it makes the configuration unusable.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// The problem in one line: place, what is wrong, what would be right.
    pub fn one_line(&self) -> String {
        let mut line = String::new();
        if let Some(place) = &self.place {
            line.push_str(&format!("{place}: "));
        }
        line.push_str(&self.title);
        for part in
            [Some(&self.label), self.help.as_ref()].into_iter().flatten().filter(|part| !part.is_empty())
        {
            line.push_str("; ");
            line.push_str(part);
        }
        line
    }

    /// The problem with the lines it is about, underlined.
    pub fn render(&self, style: RenderStyle) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(self.title.as_str());
        let mut group = match &self.place {
            Some(place) => {
                let mut here = snippet(place)
                    .annotation(AnnotationKind::Primary.span(place.span.clone()).label(self.label.as_str()));
                let mut there = None;
                if let Some((context, label)) = &self.context {
                    let note = AnnotationKind::Context.span(context.span.clone()).label(label.as_str());
                    if Arc::ptr_eq(&context.source, &place.source) {
                        here = here.annotation(note);
                    } else {
                        there = Some(snippet(context).annotation(note));
                    }
                }
                let group = title.element(here);
                match there {
                    Some(there) => group.element(there),
                    None => group,
                }
            }
            None => Group::with_title(title),
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = match style {
            RenderStyle::Plain => Renderer::plain(),
            RenderStyle::Coloured => Renderer::styled(),
        };
        renderer.render(&[group])
    }

    /// Groups them by source, in the order in which the layers were read, and sorts by position in each.
    pub(super) fn sort(problems: &mut [Problem]) {
        let mut sources: Vec<Arc<Source>> = Vec::new();
        for place in problems.iter().filter_map(|problem| problem.place.as_ref()) {
            if !sources.iter().any(|known| Arc::ptr_eq(known, &place.source)) {
                sources.push(place.source.clone());
            }
        }
        problems.sort_by_key(|problem| {
            let place = problem.place.as_ref();
            place.map(|place| {
                (sources.iter().position(|known| Arc::ptr_eq(known, &place.source)), place.span.start)
            })
        });
    }
}

fn snippet(place: &Place) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
    Snippet::source(place.source.shown()).path(place.source.name()).line_start(1)
}

/// Every problem of a configuration that is refused, the warnings among them.
#[derive(Clone, Debug)]
pub struct Problems(pub(super) Vec<Problem>);

impl Problems {
    /// Each problem.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// How many of them are errors.
    pub fn errors(&self) -> usize {
        self.0.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// All of them, in the order of the files, with an empty line between two.
    pub fn render(&self, style: RenderStyle) -> String {
        self.0.iter().map(|problem| problem.render(style)).collect::<Vec<_>>().join("\n\n")
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Problem::one_line).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that must be there cannot be read.
    #[error("cannot read the configuration file `{path}`")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something in it is wrong. [`Problems::render`] shows all of it.
    #[error("the configuration is refused: {0}")]
    Invalid(Problems),
}

impl ConfigError {
    /// Everything there is to say, for a person.
    pub fn render(&self, style: RenderStyle) -> String {
        match self {
            ConfigError::Invalid(problems) => problems.render(style),
            ConfigError::Unreadable { source, .. } => {
                Problem::without_place(Severity::Error, self.to_string())
                    .with_help(source.to_string())
                    .render(style)
            }
        }
    }
}
