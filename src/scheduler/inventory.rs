//! What of an adapter is in use here: the variant that the probe chose for each command, and where its programs are.
//! Looks at directories of the search path only.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Scheduler;
use super::adapter::messages::Verb;
use super::adapter::{Call, Variants};
use crate::model::view::SchedulerSummary;

/// One command and which of its variants the probe chose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChosenCommand {
    /// What is asked with it.
    pub verb: &'static str,
    /// The program.
    pub program: String,
    /// The variant's name; none for the command that is for all versions.
    pub variant: Option<String>,
    /// Whether the adapter has more than one form of it.
    pub has_variants: bool,
}

/// A program that the chosen commands start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NeededProgram {
    /// Its name, or its path where the adapter has one.
    pub name: String,
    /// What is asked with it.
    pub verbs: Vec<&'static str>,
    /// Where it was found.
    pub path: Option<PathBuf>,
}

impl Scheduler {
    /// The adapter's description.
    pub fn description(&self) -> &str {
        &self.inner.adapter.description
    }

    /// The commands in use, as far as the last probe tells; those that need a service that is not there are left out.
    pub fn chosen_commands(&self) -> Vec<ChosenCommand> {
        self.chosen()
            .map(|(verb, variants, call)| ChosenCommand {
                verb: verb.as_str(),
                program: self.program_of(call),
                variant: call.variant.clone(),
                has_variants: variants.0.len() > 1,
            })
            .collect()
    }

    /// What the last probe learned, as people see it.
    pub fn summary(&self) -> SchedulerSummary {
        let learned = self.capabilities();
        let several = self.chosen_commands().into_iter().filter(|command| command.has_variants);
        SchedulerSummary {
            product: learned.texts.get("product").cloned(),
            version: learned.version.as_ref().map(ToString::to_string),
            cluster: learned.cluster.clone(),
            variants: several
                .map(|command| {
                    let name = command.variant.unwrap_or_else(|| "usual".to_owned());
                    (format!("{} ({})", command.verb, command.program), name)
                })
                .collect(),
        }
    }

    /// The programs of the commands in use, each once.
    pub fn needed_programs(&self) -> Vec<NeededProgram> {
        let mut needed: Vec<NeededProgram> = Vec::new();
        for command in self.chosen_commands() {
            match needed.iter_mut().find(|one| one.name == command.program) {
                Some(one) if one.verbs.contains(&command.verb) => {}
                Some(one) => one.verbs.push(command.verb),
                None => needed.push(NeededProgram {
                    path: self.find_program(&command.program),
                    name: command.program,
                    verbs: vec![command.verb],
                }),
            }
        }
        needed
    }

    /// Verbs that the adapter has no command for here.
    pub fn missing_verbs(&self) -> Vec<&'static str> {
        let there: Vec<Verb> = self.chosen().map(|(verb, _, _)| verb).collect();
        Verb::ALL.into_iter().filter(|verb| !there.contains(verb)).map(Verb::as_str).collect()
    }

    fn chosen(&self) -> impl Iterator<Item = (Verb, &Variants, &Call)> {
        let capabilities = self.capabilities();
        let commands = self.inner.adapter.commands().into_iter();
        commands.filter_map(move |(verb, variants)| Some((verb, variants, variants.choose(&capabilities)?)))
    }

    fn program_of(&self, call: &Call) -> String {
        self.argv(call, &self.values()).into_iter().next().unwrap_or_default()
    }

    fn find_program(&self, name: &str) -> Option<PathBuf> {
        if name.contains('/') {
            return Some(PathBuf::from(name)).filter(|path| is_program(path));
        }
        std::env::split_paths(&self.inner.settings.search_path)
            .map(|directory| directory.join(name))
            .find(|path| is_program(path))
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
