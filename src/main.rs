//! The `qcbatch` program: parses the command line and hands over to `cli`.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
