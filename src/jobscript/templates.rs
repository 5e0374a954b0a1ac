//! The templates there are: the built-in ones and a user's directory that overrides them by name.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

use super::{ScriptError, quote};

const BUILT_IN: [(&str, &str); 1] = [("base.sh.j2", include_str!("../../jobscripts/base.sh.j2"))];

/// Steps a template may take; stops runaways long before anyone waits for them.
const FUEL: u64 = 5_000_000;

/// Parsed templates.
#[derive(Debug)]
pub struct TemplateSet {
    pub(super) environment: Environment<'static>,
    names: Vec<String>,
}

impl TemplateSet {
    /// The built-in templates, and over them the `*.j2` files of `directory`. A built-in one that was overridden can
    /// still be extended as `built-in/NAME`.
    pub fn load(directory: Option<&Path>) -> Result<TemplateSet, ScriptError> {
        let mut sources: BTreeMap<String, String> = BTreeMap::new();
        for (name, text) in BUILT_IN {
            sources.insert(name.to_owned(), text.to_owned());
            sources.insert(format!("built-in/{name}"), text.to_owned());
        }
        if let Some(directory) = directory {
            sources.extend(read(directory)?);
        }
        let names = sources.keys().cloned().collect();
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|_| AutoEscape::Custom("sh".into()));
        environment.set_formatter(quote::format);
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()
            .map_err(|error| super::render::template_error("", &error))?;
        environment.set_syntax(syntax);
        for (name, text) in sources {
            environment
                .add_template_owned(name.clone(), text)
                .map_err(|error| super::render::template_error(&name, &error))?;
        }
        Ok(TemplateSet { environment, names })
    }

    /// Names of all templates.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

fn read(directory: &Path) -> Result<BTreeMap<String, String>, ScriptError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ScriptError::Read { path, source }
    };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(failed(directory)(error)),
    };
    let mut sources = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(failed(directory))?.path();
        if let Some(name) =
            path.file_name().and_then(|name| name.to_str()).filter(|name| name.ends_with(".j2"))
        {
            sources.insert(name.to_owned(), std::fs::read_to_string(&path).map_err(failed(&path))?);
        }
    }
    Ok(sources)
}
