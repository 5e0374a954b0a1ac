//! Finds PostgreSQL's programs on the machine. Runs `--version` of what it finds and changes nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::OLDEST;
use super::account::Account;
use super::error::ClusterError;
use super::run;

const VERSION_LIMIT: Duration = Duration::from_secs(30);

/// What an installation is needed for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// To make and run a cluster.
    Server,
    /// To back up, restore and look inside.
    Client,
}

impl Need {
    /// The first one tells the version.
    const fn programs(self) -> [&'static str; 3] {
        match self {
            Need::Server => ["postgres", "initdb", "pg_ctl"],
            Need::Client => ["pg_dump", "pg_restore", "psql"],
        }
    }
}

/// A directory with PostgreSQL's programs, all of which ran or exist.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Programs {
    /// The directory.
    pub directory: PathBuf,
    /// Major version.
    pub major: u32,
}

impl Programs {
    /// pg_dump, pg_restore and psql: in `bin_dir`, else QCBATCH_PG_BIN, else where installations usually are.
    pub async fn client(bin_dir: Option<&Path>) -> Result<Programs, ClusterError> {
        let found = find(Need::Client, bin_dir, &Account::own()?).await?;
        found.into_iter().next().ok_or(ClusterError::NoPrograms { tried: Vec::new() })
    }

    /// The path of one program.
    pub fn path(&self, program: &str) -> PathBuf {
        self.directory.join(program)
    }
}

/// Every usable installation, best first. A directory that was named (`bin_dir`, QCBATCH_PG_BIN) is the only one that
/// is looked at. `account` must be able to run the programs.
pub(super) async fn find(
    need: Need,
    bin_dir: Option<&Path>,
    account: &Account,
) -> Result<Vec<Programs>, ClusterError> {
    let named = bin_dir.map(Path::to_owned).or_else(|| std::env::var_os("QCBATCH_PG_BIN").map(PathBuf::from));
    let directories = match named {
        Some(directory) => vec![directory],
        None => usual_directories(need, account).await,
    };
    let mut found: Vec<Programs> = Vec::new();
    let mut tried = Vec::new();
    for directory in directories {
        match probe(need, &directory, account).await {
            Ok(major) => found.push(Programs { directory, major }),
            Err(reason) => tried.push(format!("{}: {reason}", directory.display())),
        }
    }
    if found.is_empty() { Err(ClusterError::NoPrograms { tried }) } else { Ok(found) }
}

async fn probe(need: Need, directory: &Path, account: &Account) -> Result<u32, String> {
    for program in need.programs() {
        if !directory.join(program).is_file() {
            return Err(format!("no {program}"));
        }
    }
    let [teller, ..] = need.programs();
    let program = directory.join(teller);
    let ran = run::run(&program, &["--version"], Path::new("/"), account, VERSION_LIMIT).await;
    let ran = ran.and_then(run::Ran::or_fail).map_err(|error| match error {
        ClusterError::Spawn { source, .. } => {
            format!("user `{}` cannot run {teller}: {source}", account.name)
        }
        other => other.to_string(),
    })?;
    match major_version(&ran.stdout) {
        Some(major) if major >= OLDEST => Ok(major),
        Some(major) => Err(format!("version {major} is older than {OLDEST}")),
        None => Err(format!("`{}` names no version", ran.stdout.trim())),
    }
}

/// `postgres (PostgreSQL) 15.18 (Debian …)`, `pg_dump (PostgreSQL) 18beta1`.
fn major_version(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("(PostgreSQL) ")?;
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version.get(..digits)?.parse().ok()
}

async fn usual_directories(need: Need, account: &Account) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    let mut add = |directory: PathBuf| {
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    };
    let pg_config =
        run::run(Path::new("pg_config"), &["--bindir"], Path::new("/"), account, VERSION_LIMIT).await;
    if let Ok(ran) = pg_config.and_then(run::Ran::or_fail) {
        add(PathBuf::from(ran.stdout.trim()));
    }
    for directory in versioned(Path::new("/usr/lib/postgresql"), "") {
        add(directory);
    }
    for directory in versioned(Path::new("/usr"), "pgsql-") {
        add(directory);
    }
    let [teller, ..] = need.programs();
    for directory in std::env::var_os("PATH").iter().flat_map(std::env::split_paths) {
        // A link to one program does not have the others beside it; what it points to does.
        if let Ok(program) = directory.join(teller).canonicalize() {
            if let Some(parent) = program.parent() {
                add(parent.to_owned());
            }
            add(directory);
        }
    }
    directories.retain(|directory| directory.join(teller).exists());
    directories
}

/// `<parent>/<prefix><number>/bin`, highest number first.
fn versioned(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((number, entry.path().join("bin")))
        })
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, directory)| directory).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_distributions_write_them() {
        for (text, major) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15)),
            ("pg_dump (PostgreSQL) 18beta1\n", Some(18)),
            ("postgres (PostgreSQL) 9.6.24\n", Some(9)),
            ("postgres (Postgres-XL) 10", None),
            ("", None),
        ] {
            assert_eq!(major_version(text), major, "{text}");
        }
    }

    #[test]
    fn the_newest_version_comes_first() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["9", "17", "15", "common"] {
            std::fs::create_dir_all(parent.path().join(name).join("bin")).unwrap();
        }
        let found = versioned(parent.path(), "");
        let expected: Vec<PathBuf> =
            ["17", "15", "9"].iter().map(|name| parent.path().join(name).join("bin")).collect();
        assert_eq!(found, expected);
    }

    #[tokio::test]
    async fn a_named_directory_without_programs_is_refused_with_the_reason() {
        let empty = tempfile::tempdir().unwrap();
        let error = Programs::client(Some(empty.path())).await.unwrap_err();
        assert!(error.to_string().contains("no pg_dump"), "{error}");
    }
}
