//! The `qcbatch` program: hands its arguments to `cli` and ends with the exit code that comes back.

fn main() -> std::process::ExitCode {
    qcbatch::failpoint::arm_from_environment();
    qcbatch::cli::run(std::env::args_os())
}
