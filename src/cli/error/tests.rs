//! Errors as people read them, and the exit code of each.

use super::*;
use crate::api::wire::ErrorBody;

fn shown(error: &CliError) -> String {
    let text = anstream::adapter::strip_str(&error.render()).to_string();
    format!("{text}exit {}", error.exit_code().number())
}

#[test]
fn a_daemon_that_is_down_is_one_line_and_a_hint() {
    let error =
        CliError::from(ClientError::NoSocket { socket: "/home/u/.local/state/qcbatch/qcbatch.sock".into() });
    insta::assert_snapshot!(shown(&error), @r"
    error: the daemon is not running (no socket at /home/u/.local/state/qcbatch/qcbatch.sock)
    hint: start it with: qcbatch daemon
    exit 4
    ");
}

#[test]
fn causes_follow_on_the_same_line() {
    let source = io::Error::new(io::ErrorKind::PermissionDenied, "Permission denied (os error 13)");
    let error = CliError::Read { path: "water.json".into(), source };
    insta::assert_snapshot!(shown(&error), @r"
    error: cannot read water.json: Permission denied (os error 13)
    exit 3
    ");
}

#[test]
fn refused_documents_are_listed() {
    let problem = |line, path: &str, reason: &str| Problem {
        source: "in.jsonl".to_owned(),
        line: Some(line),
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let body = ErrorBody {
        code: ErrorCode::BadInput,
        message: "2 of 5 documents are refused; nothing was stored".to_owned(),
        hint: None,
        problems: vec![
            problem(2, "driver", "must be one of energy, gradient"),
            problem(5, "", "is no\nobject"),
        ],
    };
    let error = CliError::from(ClientError::Answered { body: Box::new(body) });
    insta::assert_snapshot!(shown(&error), @r"
    error: 2 of 5 documents are refused; nothing was stored
      in.jsonl:2: driver: must be one of energy, gradient
      in.jsonl:5: is no object
    exit 3
    ");
}

#[test]
fn a_bug_says_so() {
    let body = ErrorBody {
        code: ErrorCode::Internal,
        message: "the handler failed".to_owned(),
        hint: None,
        problems: Vec::new(),
    };
    let error = CliError::from(ClientError::Answered { body: Box::new(body) });
    assert_eq!(error.exit_code(), ExitCode::Bug);
    let source = serde_json::from_str::<u8>("x").unwrap_err();
    insta::assert_snapshot!(shown(&CliError::Render { source }), @r"
    error: cannot write the result as JSON: expected value at line 1 column 1
    hint: this is a bug of qcbatch; please report it with the command and `qcbatch --version`
    exit 70
    ");
}

#[test]
fn a_closed_pipe_is_silent_success() {
    assert_eq!(CliError::PipeClosed.render(), "");
    assert_eq!(CliError::PipeClosed.exit_code(), ExitCode::Success);
}

#[test]
fn what_an_error_quotes_does_not_steer_the_terminal() {
    let error = CliError::usage("no such tag \u{1b}]0;owned\u{7}\nsecond line");
    assert_eq!(shown(&error), "error: no such tag \u{fffd}]0;owned\u{fffd}\nsecond line\nexit 2");
}
