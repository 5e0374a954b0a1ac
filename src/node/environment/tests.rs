//! The promises of `node::environment`.

use super::*;

fn read(variables: &[(&str, &str)]) -> NodeEnvironment {
    let find =
        |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    NodeEnvironment::read(find, "node1".into(), 1)
}

#[test]
fn the_schedulers_id_is_the_scripts_or_slurms() {
    let id = |variables: &[(&str, &str)]| read(variables).scheduler_job_id;
    assert_eq!(id(&[]), None);
    assert_eq!(id(&[("SLURM_JOB_ID", "12")]).as_deref(), Some("12"));
    let array = [("SLURM_JOB_ID", "13"), ("SLURM_ARRAY_JOB_ID", "12"), ("SLURM_ARRAY_TASK_ID", "1")];
    assert_eq!(id(&array).as_deref(), Some("12_1"));
    let script = [("SLURM_JOB_ID", "13"), ("QCBATCH_SCHEDULER_JOB_ID", "7[2]")];
    assert_eq!(id(&script).as_deref(), Some("7[2]"));
}

#[test]
fn gpus_are_those_that_the_scheduler_gave() {
    assert_eq!(read(&[]).gpus(2), ["0", "1"]);
    let given = read(&[("CUDA_VISIBLE_DEVICES", "3,GPU-8f2a")]);
    assert_eq!(given.gpus(1), ["3"]);
    assert_eq!(given.gpus(4), ["3", "GPU-8f2a"]);
    assert_eq!(read(&[("ROCR_VISIBLE_DEVICES", "1")]).gpus(1), ["1"]);
}

#[test]
fn restarts_are_none_unless_told() {
    assert_eq!(read(&[]).restarts, 0);
    assert_eq!(read(&[("SLURM_RESTART_COUNT", "2")]).restarts, 2);
    assert_eq!(read(&[("QCBATCH_RESTART_COUNT", "")]).restarts, 0);
}
