//! The `qcbatch` program: hands its arguments to `cli` and ends with the exit code that comes back.

fn main() -> std::process::ExitCode {
    qcbatch::cli::run(std::env::args_os())
}
