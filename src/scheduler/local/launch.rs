//! Becomes a job's script: a session of its own, then the script in place of this process, so that its pid is the
//! session's and whatever it starts can be found and ended.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::LocalError;

/// Does not come back unless the script cannot be started.
pub(super) fn launch(script: &Path) -> LocalError {
    // Fails only for the leader of a process group, which a process just started by the supervisor is not.
    let _ = nix::unistd::setsid();
    let error = Command::new(script).exec();
    LocalError::state("start", script)(error)
}
