//! What `submit --dry-run` shows: the submit command and the job script, exactly. Pure.

use serde::Serialize;

use crate::api::wire::PreviewedSubmission;
use crate::cli::format;
use crate::cli::screen::{Report, Screen};

/// Every call of a submit command that the submission would lead to.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct PreviewReport(pub Vec<PreviewedSubmission>);

impl Report for PreviewReport {
    fn table(&self, _: &Screen) -> String {
        let mut text = String::new();
        for submission in &self.0 {
            text.push_str(&format!(
                "# {} in pool {}, {}\n# $ {}\n",
                format::count(u64::from(submission.jobs), "job"),
                submission.pool,
                format::count(u64::from(submission.tasks), "task"),
                command_line(&submission.argv),
            ));
            text.push_str(&submission.script);
            if !submission.script.ends_with('\n') {
                text.push('\n');
            }
        }
        text
    }

    fn quiet(&self) -> String {
        self.0.iter().map(|submission| format!("{}\n", command_line(&submission.argv))).collect()
    }
}

/// The arguments as a shell would take them.
fn command_line(argv: &[String]) -> String {
    argv.iter().map(|argument| quoted(argument)).collect::<Vec<_>>().join(" ")
}

fn quoted(argument: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=./:,@%+".contains(&byte);
    if !argument.is_empty() && argument.bytes().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::PoolName;

    #[test]
    fn scripts_and_commands_are_shown_as_they_are() {
        let argv = ["sbatch", "--parsable", "--array=0-2", "/scratch/my spool/job.sh", "it's", ""];
        let report = PreviewReport(vec![PreviewedSubmission {
            pool: PoolName("epyc".to_owned()),
            argv: argv.map(str::to_owned).to_vec(),
            script: "#!/bin/bash\necho hi".to_owned(),
            jobs: 3,
            tasks: 200,
        }]);
        assert_eq!(
            report.quiet(),
            "sbatch --parsable --array=0-2 '/scratch/my spool/job.sh' 'it'\\''s' ''\n"
        );
        let screen = Screen::of_process(crate::cli::screen::OutputMode::Table);
        insta::assert_snapshot!(report.table(&screen), @r#"
        # 3 jobs in pool epyc, 200 tasks
        # $ sbatch --parsable --array=0-2 '/scratch/my spool/job.sh' 'it'\''s' ''
        #!/bin/bash
        echo hi
        "#);
    }
}
