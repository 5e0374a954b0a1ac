//! What would be submitted, as `--dry-run` shows it: commands and scripts, word by word.

use std::collections::BTreeMap;

use qcbatch::jobscript::{ScriptInput, TemplateSet, render};
use qcbatch::model::ids::{JobId, PoolName};
use qcbatch::model::resources::{NodeSharing, SetupErrors};
use qcbatch::scheduler::{Scheduler, SchedulerError, SubmitRequest};

use crate::support::{request, scheduler, tag};

pub fn script_input(scheduler: &Scheduler, request: &SubmitRequest) -> ScriptInput {
    let facts = scheduler.script_facts();
    ScriptInput {
        template: "base.sh.j2".to_owned(),
        directives: scheduler.directives(request).unwrap(),
        scheduler_lines: facts.lines.clone(),
        array_index_variable: facts.array_index_variable.clone(),
        first_array_index: facts.first_array_index,
        scheduler_job_id: facts.job_id.clone(),
        launch: None,
        warn_after: scheduler
            .warns_itself()
            .then(|| request.resources.walltime.saturating_sub(request.warning)),
        tag: tag(),
        pool: PoolName("main".to_owned()),
        directory: request.directory.clone(),
        program: "/opt/qcbatch/bin/qcbatch".into(),
        job_ids: (0..request.array_size).map(|index| JobId(101 + i64::from(index))).collect(),
        setup: Vec::new(),
        setup_errors: SetupErrors::Fatal,
        environment: BTreeMap::new(),
        scratch: None,
    }
}

pub fn shown(scheduler: &Scheduler, request: &SubmitRequest, input: &ScriptInput) -> String {
    let script = render(input, &TemplateSet::load(&[]).unwrap()).unwrap();
    format!("{}\n----\n{script}", scheduler.submit_argv(request).unwrap().join("\n"))
}

#[test]
fn slurm_single() {
    let scheduler = scheduler("slurm");
    let request = request("/spool/main/qcb-x", 1);
    insta::assert_snapshot!(shown(&scheduler, &request, &script_input(&scheduler, &request)));
}

#[test]
fn slurm_array_with_everything() {
    let scheduler = scheduler("slurm");
    let mut request = request("/spool/my pool/it's", 3);
    let resources = &mut request.resources;
    resources.gpus = 2;
    resources.gpu_type = Some("a100".into());
    resources.queue = Some("gpu".into());
    resources.account = Some("chem42".into());
    resources.qos = Some("long".into());
    resources.constraint = Some("intel&ib".into());
    resources.reservation = Some("friday".into());
    resources.sharing = NodeSharing::Exclusive;
    resources.extra = vec!["--mail-type=END".into(), "--licenses=molpro:1".into()];
    let mut input = script_input(&scheduler, &request);
    input.setup = vec!["module purge\nmodule load psi4/1.9".into(), "conda activate qc".into()];
    input.environment = BTreeMap::from([("PSI_SCRATCH".into(), "/scratch/$USER dir".into())]);
    input.scratch = Some("/scratch/al ice".into());
    insta::assert_snapshot!(shown(&scheduler, &request, &input));
}

#[test]
fn local_array() {
    let scheduler = scheduler("local");
    let request = request("/spool/local/qcb-x", 2);
    insta::assert_snapshot!(shown(&scheduler, &request, &script_input(&scheduler, &request)));
}

#[test]
fn what_could_be_misread_is_refused() {
    let scheduler = scheduler("slurm");
    let refused = |change: &dyn Fn(&mut SubmitRequest)| {
        let mut request = request("/spool/x", 1);
        change(&mut request);
        assert!(matches!(scheduler.directives(&request), Err(SchedulerError::Value { .. })), "{request:?}");
        assert!(matches!(scheduler.submit_argv(&request), Err(SchedulerError::Value { .. })), "{request:?}");
    };
    refused(&|request| request.resources.queue = Some("main; rm -rf /".into()));
    refused(&|request| request.resources.account = Some("a\n#SBATCH --uid=0".into()));
    refused(&|request| request.resources.qos = Some(String::new()));
    refused(&|request| request.resources.extra = vec!["--x\n--y".into()]);
    refused(&|request| request.directory = "relative".into());
}

#[test]
fn values_in_scripts_are_quoted_and_control_characters_refused() {
    let scheduler = scheduler("local");
    let request = request("/spool/x", 1);
    let templates = TemplateSet::load(&[]).unwrap();
    let mut input = script_input(&scheduler, &request);
    input.environment = BTreeMap::from([("A".into(), "$(touch /tmp/x) 'y'".into())]);
    let script = render(&input, &templates).unwrap();
    assert!(script.contains(r"export A='$(touch /tmp/x) '\''y'\'''"), "{script}");
    input.environment = BTreeMap::from([("A".into(), "x\ny".into())]);
    assert!(render(&input, &templates).unwrap_err().to_string().contains("control character"));
    input.environment = BTreeMap::from([("A B".into(), "x".into())]);
    assert!(render(&input, &templates).is_err());
    input.environment.clear();
    input.directives = vec!["#SBATCH x\nrm -rf /".into()];
    assert!(render(&input, &templates).is_err());
}

#[test]
fn a_users_template_overrides_by_name_and_may_extend_the_built_in_one() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("base.sh.j2"),
        "{% extends \"built-in/base.sh.j2\" %}\n{% block scheduler %}\necho {{ pool }} here\n{% endblock %}\n",
    )
    .unwrap();
    std::fs::write(directory.path().join("bad.sh.j2"), "#!/bin/bash\n\necho {{ colour }}\n").unwrap();
    std::fs::write(
        directory.path().join("endless.sh.j2"),
        "{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}",
    )
    .unwrap();
    std::fs::write(directory.path().join("none.sh.j2"), "echo hi\n").unwrap();
    let templates = TemplateSet::load(&[directory.path().to_owned()]).unwrap();
    let scheduler = scheduler("slurm");
    let mut input = script_input(&scheduler, &request("/spool/x", 1));
    let script = render(&input, &templates).unwrap();
    assert!(
        script.starts_with("#!/bin/bash\n#SBATCH --job-name") && script.contains("\necho main here\n"),
        "{script}"
    );
    let mut error = |name: &str| {
        input.template = name.to_owned();
        render(&input, &templates).unwrap_err().to_string()
    };
    assert!(error("bad.sh.j2").contains("line 3"), "{}", error("bad.sh.j2"));
    assert!(error("endless.sh.j2").contains("fuel"), "{}", error("endless.sh.j2"));
    assert!(error("none.sh.j2").contains("does not begin with"), "{}", error("none.sh.j2"));
    assert!(error("nothing.sh.j2").contains("base.sh.j2"), "{}", error("nothing.sh.j2"));
}
