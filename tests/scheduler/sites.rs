//! The worked examples of `config/sites/`: each loads without a warning, and each pool's script is what its golden says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use qcbatch::config::{Config, LoadOptions, Machine, PoolConfig, RenderStyle};
use qcbatch::jobscript::{ScriptInput, TemplateSet, render};
use qcbatch::model::ids::JobId;
use qcbatch::scheduler::{Adapter, Scheduler, SubmitRequest};

use crate::scripts::script_input;
use crate::support::{Recorded, settings, tag};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/sites")
}

/// Every `NAME.toml` of the folder.
fn names() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|end| end == "toml"));
    let mut names: Vec<String> =
        files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn load(name: &str) -> Config {
    let options = LoadOptions {
        explicit_file: Some(folder().join(format!("{name}.toml"))),
        system_file: "/nonexistent".into(),
        environment: Vec::new(),
        overrides: Vec::new(),
        machine: Machine {
            cores: 4,
            hostname: "login1".into(),
            home: "/home/ada".into(),
            user: "ada".into(),
        },
    };
    let loaded =
        Config::load(&options).unwrap_or_else(|error| panic!("{}", error.render(RenderStyle::Plain)));
    let warnings: Vec<String> =
        loaded.warnings.iter().map(|warning| warning.render(RenderStyle::Plain)).collect();
    assert!(warnings.is_empty(), "{name}: {}", warnings.join("\n"));
    loaded.config
}

/// What the sites' own pages say of their LSF: the version, and that memory is reserved for each core.
const LSF: [(&str, &str); 3] = [
    (
        "lsid",
        "IBM Spectrum LSF Standard 10.1.0.12, Jun 10 2021\n\nMy cluster name is chem\nMy master name is m1\n",
    ),
    ("bparams", "    RESOURCE_RESERVE_PER_TASK = Y\n"),
    ("badmin", ""),
];

/// What the daemon would submit for three jobs of the pool: the command, and the script. Only LSF's depend on the probe.
async fn rendered(config: &Config, pool: &PoolConfig, adapter: Adapter) -> (String, String) {
    let recorded = LSF.into_iter().fold(Recorded::new(), |all, (name, says)| all.answers(name, says, "", 0));
    let path = format!("{}:/usr/bin:/bin", recorded.path().display());
    let scheduler = Scheduler::new(adapter, settings(&path));
    if pool.adapter == "lsf" {
        scheduler.probe().await.unwrap();
    }
    let directory = config.spool.path.join(&pool.name.0).join(tag().as_str());
    let mut resources = pool.resources.clone();
    resources.cores = pool.cores.unwrap_or(1);
    let request = SubmitRequest {
        tag: tag(),
        script: directory.join("job.sh"),
        log: scheduler.log_path(&directory, 3),
        directory,
        array_size: 3,
        resources,
        warning: pool.warning,
    };
    let input = ScriptInput {
        template: pool.template.clone(),
        pool: pool.name.clone(),
        job_ids: vec![JobId(1), JobId(2), JobId(3)],
        setup: pool.setup.clone(),
        setup_errors: pool.setup_errors,
        environment: pool.environment.clone(),
        scratch: pool.scratch.clone(),
        ..script_input(&scheduler, &request)
    };
    let script = render(&input, &TemplateSet::load(&[]).unwrap()).unwrap();
    (scheduler.submit_argv(&request).unwrap().join(" "), script)
}

/// The script without the lines that every script has; `…` stands for them.
fn own_lines(script: &str) -> String {
    let template =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("jobscripts/base.sh.j2")).unwrap();
    let usual: BTreeSet<&str> = template.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut shown: Vec<&str> = Vec::new();
    for line in script.lines().filter(|line| !line.trim().is_empty()) {
        match usual.contains(line) && !line.starts_with("#!") {
            false => shown.push(line),
            true if shown.last() == Some(&"…") => {}
            true => shown.push("…"),
        }
    }
    shown.join("\n")
}

#[tokio::test]
async fn every_site_file_renders_its_golden_scripts() {
    let names = names();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        let config = load(&name);
        let mut golden = String::new();
        for pool in &config.pools {
            let adapter = Adapter::load(&pool.adapter, &[folder().join("adapters")])
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let (command, script) = rendered(&config, pool, adapter).await;
            assert!(script.starts_with("#!/bin/bash\n"), "{script}");
            golden.push_str(&format!("==== pool {}\n{command}\n----\n{}\n\n", pool.name, own_lines(&script)));
        }
        insta::assert_snapshot!(format!("site_{name}"), golden);
    }
}
