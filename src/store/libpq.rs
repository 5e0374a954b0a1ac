//! The environment that leads PostgreSQL's own client programs to a target, so that nothing of it is in their argument
//! vectors, which every user of the machine can read. No I/O but looking for the machine's certificates.

use std::ffi::OsString;
use std::path::Path;

use tokio_postgres::config::Host;

use super::cluster::Programs;
use super::target::{DatabaseTarget, TlsMode};

/// Variables that could lead elsewhere than the target; libpq's list, without those that are always set here.
pub(super) const MISLEADING: [&str; 12] = [
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGHOSTADDR",
    "PGPASSWORD",
    "PGPASSFILE",
    "PGOPTIONS",
    "PGSSLROOTCERT",
    "PGSSLCERT",
    "PGREQUIRESSL",
    "PGTARGETSESSIONATTRS",
    "PGCHANNELBINDING",
    "PGREQUIREAUTH",
];

/// Where distributions keep the certificates that the machine trusts: Debian, Red Hat, SUSE.
const MACHINE_ROOTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/var/lib/ca-certificates/ca-bundle.pem",
];

/// libpq's variables for `target`.
pub(super) fn environment(target: &DatabaseTarget, programs: &Programs) -> Vec<(&'static str, OsString)> {
    let config = target.config();
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(directory) => directory.to_string_lossy().into_owned(),
        })
        .collect();
    let mut variables: Vec<(&'static str, OsString)> = vec![
        ("PGAPPNAME", config.get_application_name().unwrap_or("qcbatch").into()),
        ("PGCONNECT_TIMEOUT", "20".into()),
        ("PGSSLMODE", target.tls().as_str().into()),
        ("PGCLIENTENCODING", "UTF8".into()),
    ];
    let mut add = |name, value: String| {
        if !value.is_empty() {
            variables.push((name, value.into()));
        }
    };
    add("PGHOST", hosts.join(","));
    add("PGHOSTADDR", listed(config.get_hostaddrs()));
    add("PGPORT", if config.get_ports().is_empty() { "5432".to_owned() } else { listed(config.get_ports()) });
    add("PGDATABASE", config.get_dbname().unwrap_or_default().to_owned());
    add("PGUSER", config.get_user().unwrap_or_default().to_owned());
    add("PGOPTIONS", config.get_options().unwrap_or_default().to_owned());
    if let Some(password) = config.get_password() {
        add("PGPASSWORD", String::from_utf8_lossy(password).into_owned());
    }
    if target.tls() == TlsMode::VerifyFull {
        let root = match target.root_certificate() {
            Some(path) => path.as_os_str().to_owned(),
            // `system` came with libpq 16; before it a file must be named.
            None if programs.major >= 16 => "system".into(),
            None => MACHINE_ROOTS
                .iter()
                .find(|path| Path::new(path).exists())
                .map_or_else(|| MACHINE_ROOTS[0].into(), OsString::from),
        };
        variables.push(("PGSSLROOTCERT", root));
    }
    variables
}

fn listed<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_of_the_target_is_in_the_environment() {
        let programs = Programs { directory: "/usr/lib/postgresql/15/bin".into(), major: 15 };
        let url = "postgres://anna:s%20cret@db.example:5433,db2.example/qc?application_name=me";
        let target = DatabaseTarget::parse(url, Some(TlsMode::VerifyFull), Some("/r.pem".into())).unwrap();
        let mut lines: Vec<String> = environment(&target, &programs)
            .into_iter()
            .map(|(name, value)| format!("{name}={}", value.to_string_lossy()))
            .collect();
        lines.sort();
        let expected = [
            "PGAPPNAME=me",
            "PGCLIENTENCODING=UTF8",
            "PGCONNECT_TIMEOUT=20",
            "PGDATABASE=qc",
            "PGHOST=db.example,db2.example",
            "PGPASSWORD=s cret",
            "PGPORT=5433,5432",
            "PGSSLMODE=verify-full",
            "PGSSLROOTCERT=/r.pem",
            "PGUSER=anna",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_socket_is_a_host_that_is_a_directory() {
        let programs = Programs { directory: "/usr/lib/postgresql/15/bin".into(), major: 15 };
        let target = DatabaseTarget::socket(Path::new("/run/qc"), "anna", "qc");
        let variables = environment(&target, &programs);
        assert!(variables.contains(&("PGHOST", "/run/qc".into())));
        assert!(variables.contains(&("PGSSLMODE", "disable".into())));
    }
}
