//! Texts that must never be shown, and the private files they are read from.
//! Touches: reads files that a configuration names as holding a secret.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

/// What is shown in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// A secret file is a line, not a document.
const SECRET_FILE_BYTES: u64 = 64 * 1024;

/// A text that neither `Debug`, `Display` nor `Serialize` shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself: for the one place that hands it to a server.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

/// Why a secret file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretFileError {
    #[error("cannot read `{path}`")]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{path}` is not a file")]
    NotAFile { path: PathBuf },
    #[error("`{path}` may be read by others (mode {mode:04o}); `chmod 600` it")]
    Open { path: PathBuf, mode: u32 },
    #[error("`{path}` belongs to user {owner}; it must be yours")]
    Foreign { path: PathBuf, owner: u32 },
    #[error("`{path}` is empty, too long or not text; it must hold the secret on one line")]
    NotALine { path: PathBuf },
}

/// The first line of a file that only its owner (we, or root) can read.
pub(super) fn read_secret_file(path: &Path) -> Result<Secret, SecretFileError> {
    let own = || path.to_owned();
    let unreadable = |source| SecretFileError::Unreadable { path: own(), source };
    // Without blocking: the path may name a pipe, which is refused below.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(SecretFileError::NotAFile { path: own() });
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(SecretFileError::Open { path: own(), mode: metadata.mode() & 0o7777 });
    }
    let uid = nix::unistd::geteuid().as_raw();
    if metadata.uid() != uid && metadata.uid() != 0 {
        return Err(SecretFileError::Foreign { path: own(), owner: metadata.uid() });
    }
    let mut bytes = Vec::new();
    file.take(SECRET_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| SecretFileError::NotALine { path: own() })?;
    let line = text.trim_end_matches(['\n', '\r']);
    if line.is_empty() || line.contains('\n') || text.len() as u64 > SECRET_FILE_BYTES {
        return Err(SecretFileError::NotALine { path: own() });
    }
    Ok(Secret::new(line))
}

/// `url` with `password` added in the form (URL, or `key=value`) that `url` has.
pub(super) fn with_password(url: &Secret, password: &Secret) -> Secret {
    let text = url.expose();
    if text.contains("://") {
        let separator = if text.contains('?') { '&' } else { '?' };
        let mut joined = format!("{text}{separator}password=");
        for byte in password.expose().bytes() {
            if byte.is_ascii_alphanumeric() {
                joined.push(char::from(byte));
            } else {
                joined.push_str(&format!("%{byte:02X}"));
            }
        }
        Secret(joined)
    } else {
        let escaped = password.expose().replace('\\', "\\\\").replace('\'', "\\'");
        Secret(format!("{text} password='{escaped}'"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn no_formatter_shows_a_secret() {
        let secret = Secret::new("hunter2");
        let shown = format!("{secret:?} {secret} {}", serde_json::to_string(&secret).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn a_joined_password_arrives_at_the_server_unchanged() {
        for url in
            ["postgres://me@db/qc", "postgresql://me@db/qc?sslmode=disable", "host=db user=me dbname=qc"]
        {
            for password in ["plain", "p@ss w/ 'quotes' \\ & ?=%41", "пароль"] {
                let joined = with_password(&Secret::new(url), &Secret::new(password));
                let parsed: tokio_postgres::Config = joined.expose().parse().unwrap();
                assert_eq!(parsed.get_password(), Some(password.as_bytes()), "{url} {password}");
                assert_eq!(parsed.get_user(), Some("me"));
                assert_eq!(parsed.get_dbname(), Some("qc"));
            }
        }
    }

    #[test]
    fn a_secret_file_must_be_private_and_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        for (content, mode, expected) in [
            ("hunter2\n", 0o600, Ok("hunter2")),
            ("hunter2", 0o400, Ok("hunter2")),
            ("hunter2\n", 0o640, Err("may be read by others (mode 0640)")),
            ("hunter2\n", 0o604, Err("may be read by others (mode 0604)")),
            ("\n", 0o600, Err("on one line")),
            ("two\nlines\n", 0o600, Err("on one line")),
        ] {
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match (read_secret_file(&path), expected) {
                (Ok(secret), Ok(text)) => assert_eq!(secret.expose(), text),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (got, expected) => panic!("{content:?} {mode:o}: {got:?} is not {expected:?}"),
            }
            std::fs::remove_file(&path).unwrap();
        }
        assert!(matches!(read_secret_file(&path), Err(SecretFileError::Unreadable { .. })));
        assert!(matches!(read_secret_file(directory.path()), Err(SecretFileError::NotAFile { .. })));
    }
}
