//! `qcbatch adapter check`: sends a small job through a pool's scheduler and shows what that proved.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde::Serialize;

use super::{settings, usable};
use crate::cli::error::CliError;
use crate::cli::exit_code::ExitCode;
use crate::cli::screen::{Report, Screen};
use crate::cli::session::Session;
use crate::cli::table::Colour;
use crate::cli::wait::parse_timeout;
use crate::config::{Config, PoolConfig};
use crate::jobscript::TemplateSet;
use crate::model::ids::PoolName;
use crate::model::resources::JobResources;
use crate::scheduler::Scheduler;
use crate::spool::layout::Spool;
use crate::trial::{self, Ending, Finding, Trial, Verdict};

/// What was typed.
#[derive(Args, Debug)]
pub(super) struct CheckArgs {
    /// The adapter, with the settings of the first pool that uses it; without it and --pool every pool is checked
    #[arg(value_name = "NAME", conflicts_with = "pool")]
    name: Option<String>,
    /// The pool whose queue, account, template and setup the probe job gets
    #[arg(long, value_name = "POOL")]
    pool: Option<String>,
    /// Cancel the probe job when it has not ended after this time
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = parse_timeout)]
    timeout: Duration,
}

/// One report for each pool.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Reports(Vec<trial::Report>);

impl Report for Reports {
    fn table(&self, screen: &Screen) -> String {
        self.0.iter().map(|report| shown(report, screen.colour)).collect::<Vec<_>>().join("\n")
    }

    fn quiet(&self) -> String {
        let ids = self.0.iter().filter_map(|report| report.scheduler_job_id.as_ref());
        ids.map(|id| format!("{id}\n")).collect()
    }
}

fn shown(report: &trial::Report, colour: Colour) -> String {
    let mut text = format!("adapter {}, pool {}", report.adapter, report.pool);
    if let Some(cluster) = &report.cluster {
        text.push_str(&format!(", cluster {cluster}"));
    }
    if let Some(jobs) = report.your_jobs {
        text.push_str(&format!(", {} of yours before", crate::cli::format::count(jobs as u64, "job")));
    }
    text.push('\n');
    let width = report.findings.iter().map(|finding| finding.subject.len()).max().unwrap_or(0);
    for Finding { subject, verdict, detail } in &report.findings {
        let (word, style) = match verdict {
            Verdict::Proven => ("ok", AnsiColor::Green),
            Verdict::Unproven => ("not proven", AnsiColor::Yellow),
            Verdict::Failed => ("FAILED", AnsiColor::Red),
        };
        let style = match colour {
            Colour::On => Style::new().fg_color(Some(style.into())),
            Colour::Off => Style::new(),
        };
        let detail = crate::cli::table::printable(detail);
        text.push_str(&format!("  {style}{word:<10}{style:#}  {subject:<width$}  {detail}\n"));
    }
    if let Some(kept) = &report.kept {
        text.push_str(&format!("  the job's files are kept in {}\n", kept.display()));
    }
    let not_proven = report.findings.iter().filter(|finding| finding.verdict == Verdict::Unproven).count();
    let failed = report.findings.iter().filter(|finding| finding.verdict == Verdict::Failed).count();
    text.push_str(&format!("  {failed} failed, {not_proven} could not be proven\n"));
    text
}

pub(super) async fn run(args: &CheckArgs, config: &Config, session: &Session) -> Result<ExitCode, CliError> {
    let mut reports = Vec::new();
    for pool in pools(args, config)? {
        let trial = Trial {
            scheduler: Scheduler::new(usable(&pool.adapter, config)?, settings(config)?),
            spool: Spool::new(&config.spool.path),
            templates: TemplateSet::load(&config.site.template_directories)
                .map_err(|error| CliError::local("cannot load the job script templates", error))?,
            program: std::env::current_exe()
                .map_err(|source| CliError::local("cannot tell where this program is", source))?,
            timeout: args.timeout,
            pool,
        };
        let name = trial.pool.name.clone();
        let progress = |text: &str| session.screen.progress(&format!("{name}: {text}"));
        reports.push(trial::run(&trial, &progress).await);
        session.screen.end_progress();
    }
    let code = match &reports {
        some if some.iter().any(|report| report.ending == Ending::TimedOut) => ExitCode::TimedOut,
        some if some.iter().any(trial::Report::has_failures) => ExitCode::Failed,
        _ => ExitCode::Success,
    };
    session.screen.print(&Reports(reports))?;
    Ok(code)
}

fn pools(args: &CheckArgs, config: &Config) -> Result<Vec<PoolConfig>, CliError> {
    if let Some(name) = &args.pool {
        let found = config.pools.iter().find(|pool| pool.name.0 == *name);
        return found.map(|pool| vec![pool.clone()]).ok_or_else(|| {
            let known =
                config.pools.iter().map(|pool| format!("`{}`", pool.name)).collect::<Vec<_>>().join(", ");
            CliError::NotFound { message: format!("there is no pool `{name}`; the pools are {known}") }
        });
    }
    let Some(name) = &args.name else { return Ok(config.pools.clone()) };
    let found = config.pools.iter().find(|pool| pool.adapter == *name);
    let plain = || config.pools.first().map(|pool| plain_pool(name, pool));
    Ok(found.cloned().or_else(plain).into_iter().collect())
}

/// A pool for an adapter that no pool uses: nothing is asked for but one core; times are those of `other`.
fn plain_pool(adapter: &str, other: &PoolConfig) -> PoolConfig {
    let resources = JobResources::of_cores(1, other.resources.walltime);
    PoolConfig {
        name: PoolName("check".to_owned()),
        adapter: adapter.to_owned(),
        cores: None,
        resources,
        setup: Vec::new(),
        environment: std::collections::BTreeMap::new(),
        scratch: None,
        ..other.clone()
    }
}
