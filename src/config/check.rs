//! Checks across keys, on the settings of all layers together. Each problem is shown where the deciding value stands.
//! Pure but for the secret files, which it reads.

use std::path::Path;
use std::time::Duration;

use super::layer::{Layer, Setting, Values};
use super::problem::Problem;
use super::secret::{Secret, read_secret_file, with_password};
use super::units::{format_duration, format_size};
use super::value::Value;

/// Longest path of a Unix socket in bytes: `sun_path` of Linux has 108, the last one a zero (unix(7)).
pub(super) const SOCKET_PATH_BYTES: usize = 107;

/// Sites ask for no more polls than this of a scheduler that many people use.
const POLITE_POLL_INTERVAL: Duration = Duration::from_secs(15);

/// A lease that is renewed each tick must survive two failed renewals.
const TICKS_PER_LEASE: u32 = 3;

/// Everything wrong with filled, expanded settings as a whole, and the database's URL with its password.
pub(super) fn check(filled: &Layer) -> (Vec<Problem>, Option<Secret>) {
    let mut problems = Vec::new();
    problems.extend(lease(filled));
    problems.extend(socket(filled));
    problems.extend(default_pool(filled));
    problems.extend(root_certificate(filled));
    for pool in &filled.pools {
        problems.extend(pool_warning(filled, &pool.values));
        problems.extend(pool_polls(filled, &pool.values));
        problems.extend(pool_mpi(filled, &pool.values));
        problems.extend(default_task_fits(filled, &pool.values));
    }
    let url = match database_url(filled) {
        Ok(url) => url,
        Err(problem) => {
            problems.push(*problem);
            None
        }
    };
    (problems, url)
}

/// The settings of `paths`, unless one of them is absent or was refused already.
fn all<'f, const N: usize>(
    filled: &Layer,
    values: &'f Values,
    paths: [&'static str; N],
) -> Option<[&'f Setting; N]> {
    if paths.iter().any(|path| filled.refused.contains(path)) {
        return None;
    }
    let found: Vec<&Setting> = paths.iter().filter_map(|path| values.get(path)).collect();
    found.try_into().ok()
}

fn duration(setting: &Setting) -> Duration {
    if let Value::Duration(duration) = setting.value { duration } else { Duration::ZERO }
}

fn text(setting: &Setting) -> &str {
    if let Value::Text(text) = &setting.value { text } else { "" }
}

/// A problem at `setting`, or at `other` where only that was given, with the other one as context.
fn between(
    title: String,
    setting: &Setting,
    other: &Setting,
    allowed: String,
    other_label: String,
) -> Problem {
    let (here, there) = (setting.origin.place().clone(), other.origin.place().clone());
    if setting.origin.is_given() || !other.origin.is_given() {
        let problem = Problem::error(title, here, allowed);
        if other.origin.is_given() { problem.with_context(there, other_label) } else { problem }
    } else {
        Problem::error(title, there, other_label).with_help(allowed)
    }
}

fn lease(filled: &Layer) -> Option<Problem> {
    let [lease, tick] = all(filled, &filled.values, ["daemon.lease", "daemon.tick"])?;
    let least = duration(tick) * TICKS_PER_LEASE;
    (duration(lease) < least).then(|| {
        let title = "impossible value for `daemon.lease`: shorter than three ticks".to_owned();
        let allowed = format!("expected a lease of at least {}", format_duration(least));
        between(title, lease, tick, allowed, format!("a tick is {}", format_duration(duration(tick))))
    })
}

fn socket(filled: &Layer) -> Option<Problem> {
    let [socket, state] = all(filled, &filled.values, ["daemon.socket", "site.state"])?;
    let path = text(socket);
    let bytes = path.len();
    (bytes > SOCKET_PATH_BYTES).then(|| {
        let title = format!("impossible value for `daemon.socket`: {bytes} bytes long");
        let allowed = format!(
            "expected a path of at most {SOCKET_PATH_BYTES} bytes, such as `/run/user/…/qcbatch.sock`"
        );
        between(title, socket, state, allowed, format!("gives `{path}`"))
    })
}

fn default_pool(filled: &Layer) -> Option<Problem> {
    let [pool] = all(filled, &filled.values, ["defaults.pool"])?;
    let names: Vec<&str> = filled.pools.iter().map(|pool| pool.name.as_str()).collect();
    (!names.contains(&text(pool)) && !filled.refused.contains("pool.name")).then(|| {
        let title = format!("impossible value for `defaults.pool`: no pool `{}`", text(pool));
        Problem::error(title, pool.origin.place().clone(), format!("expected one of: {}", names.join(", ")))
    })
}

fn root_certificate(filled: &Layer) -> Option<Problem> {
    let [certificate, mode] =
        all(filled, &filled.values, ["database.tls.root_certificate", "database.tls.mode"])?;
    (text(mode) != "verify-full").then(|| {
        let title = "`database.tls.root_certificate` has no effect";
        let label = format!("only mode \"verify-full\" checks certificates; the mode is \"{}\"", text(mode));
        Problem::warning(title, certificate.origin.place().clone(), label)
    })
}

fn pool_warning(filled: &Layer, pool: &Values) -> Option<Problem> {
    let [warning, walltime] = all(filled, pool, ["pool.warning", "pool.walltime"])?;
    (duration(warning) >= duration(walltime)).then(|| {
        let limit = format_duration(duration(walltime));
        let title = "impossible value for `pool.warning`: not shorter than the walltime".to_owned();
        let allowed = format!("expected a warning shorter than {limit}");
        between(
            title,
            warning,
            walltime,
            allowed,
            format!("the warning comes {} before the end", format_duration(duration(warning))),
        )
    })
}

fn pool_polls(filled: &Layer, pool: &Values) -> Vec<Problem> {
    let Some([interval, grace, adapter]) =
        all(filled, pool, ["pool.poll_interval", "pool.grace", "pool.adapter"])
    else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    if text(adapter) != "local" && duration(interval) < POLITE_POLL_INTERVAL {
        let title = format!(
            "pool `{}` polls its scheduler every {}",
            pool_name(pool),
            format_duration(duration(interval))
        );
        let label = format!("sites ask for {} or more", format_duration(POLITE_POLL_INTERVAL));
        problems.push(Problem::warning(title, interval.origin.place().clone(), label));
    }
    if duration(grace) < duration(interval) * 2 {
        let title = "impossible value for `pool.grace`: shorter than two polls".to_owned();
        let allowed = format!("expected a grace of at least {}", format_duration(duration(interval) * 2));
        let other = format!("polls are {} apart", format_duration(duration(interval)));
        problems.push(between(title, grace, interval, allowed, other));
    }
    problems
}

/// Programs on several nodes need these, and are started somehow.
fn pool_mpi(filled: &Layer, pool: &Values) -> Option<Problem> {
    let [nodes, adapter] = all(filled, pool, ["pool.task_nodes", "pool.adapter"])?;
    if filled.refused.contains("pool.mpiexec") {
        return None;
    }
    match (&nodes.value, pool.get("pool.mpiexec")) {
        (Value::Integer(2..), _) if text(adapter) == "local" => {
            let title = "impossible value for `pool.task_nodes`: this machine is one node".to_owned();
            let allowed = "expected 1, or the adapter of a scheduler".to_owned();
            Some(between(title, nodes, adapter, allowed, "the adapter is \"local\"".to_owned()))
        }
        (Value::Integer(2..), mpiexec) => {
            let lacks = |path: &&str| !filled.refused.contains(*path) && pool.get(path).is_none();
            let missing = ["pool.mpiexec", "pool.cores", "pool.memory"].into_iter().find(lacks)?;
            let title = format!("`pool.task_nodes` without `{missing}`");
            let label = match mpiexec {
                None => "expected `mpiexec` too, which starts a program on the nodes",
                Some(_) => "expected `cores` and `memory` too: a task gets whole nodes",
            };
            Some(Problem::error(title, nodes.origin.place().clone(), label))
        }
        (Value::Integer(..2), Some(mpiexec)) => {
            let title = "`pool.mpiexec` has no effect";
            let label = "no task of the pool has several nodes; `task_nodes` allows them";
            Some(Problem::warning(title, mpiexec.origin.place().clone(), label))
        }
        _ => None,
    }
}

fn pool_name(pool: &Values) -> &str {
    pool.get("pool.name").map_or("", text)
}

/// A task that asks for nothing special should be able to run in every pool. Its time limit fits any: it is cut to what the
/// pool's jobs have.
fn default_task_fits<'f>(filled: &'f Layer, pool: &'f Values) -> Option<Problem> {
    if ["pool.cores", "pool.memory"].iter().any(|path| filled.refused.contains(path)) {
        return None;
    }
    let [cores, memory] = all(filled, &filled.values, ["defaults.cores", "defaults.memory"])?;
    let asks = [("cores", cores, "pool.cores"), ("memory", memory, "pool.memory")];
    asks.into_iter().find_map(|(what, ask, path)| {
        let has = pool.get(path)?;
        let too_large = match (&ask.value, &has.value) {
            (Value::Integer(ask), Value::Integer(has)) => ask > has,
            (Value::Size(ask), Value::Size(has)) => ask > has,
            _ => false,
        };
        too_large.then(|| {
            let title = format!("pool `{}` runs no task that leaves its {what} open", pool_name(pool));
            let label = format!("a job of the pool has {} for its tasks", shown(&has.value));
            let help = format!("such a task gets {} (`[defaults] {what}`)", shown(&ask.value));
            Problem::warning(title, has.origin.place().clone(), label).with_help(help)
        })
    })
}

fn shown(value: &Value) -> String {
    match value {
        Value::Duration(duration) => format_duration(*duration),
        Value::Size(bytes) => format_size(*bytes),
        other => other.to_toml(),
    }
}

fn database_url(filled: &Layer) -> Result<Option<Secret>, Box<Problem>> {
    let get = |path: &'static str| filled.values.get(path).filter(|_| !filled.refused.contains(path));
    let (url, url_file, password_file) =
        (get("database.url"), get("database.url_file"), get("database.password_file"));
    if let (Some(url), Some(file)) = (url, url_file) {
        let problem = Problem::error(
            "both `database.url` and `database.url_file`",
            file.origin.place().clone(),
            "expected one of the two",
        );
        return Err(Box::new(problem.with_context(url.origin.place().clone(), "the other one")));
    }
    let read = |setting: &Setting, path: &str| {
        read_secret_file(Path::new(text(setting))).map_err(|error| {
            let why = std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
            let title = format!("impossible value for `{path}`");
            Box::new(Problem::error(title, setting.origin.place().clone(), format!("{error}{why}")))
        })
    };
    let url = match (url, url_file) {
        (Some(Setting { value: Value::Secret(url), .. }), _) => Some(url.clone()),
        (None, Some(file)) => Some(checked_url(file, read(file, "database.url_file")?)?),
        _ => None,
    };
    match (url, password_file) {
        (Some(url), Some(file)) => join_password(url, file, read(file, "database.password_file")?).map(Some),
        (None, Some(file)) if !filled.refused.contains("database.url") => Err(Box::new(
            Problem::error(
                "`database.password_file` without a server",
                file.origin.place().clone(),
                "expected `database.url` or `database.url_file` too",
            )
            .with_help("the private cluster needs no password"),
        )),
        (url, _) => Ok(url),
    }
}

fn checked_url(file: &Setting, url: Secret) -> Result<Secret, Box<Problem>> {
    let kind = super::schema::Kind::DatabaseUrl;
    match super::text::check(&kind, url.expose()) {
        Ok(()) => Ok(url),
        Err(why) => {
            let why = why.map_or(String::new(), |why| format!(": {why}"));
            let title = format!("impossible value in the file of `database.url_file`{why}");
            Err(Box::new(Problem::error(
                title,
                file.origin.place().clone(),
                format!("expected {}", kind.allowed()),
            )))
        }
    }
}

fn join_password(url: Secret, file: &Setting, password: Secret) -> Result<Secret, Box<Problem>> {
    let has_password =
        url.expose().parse::<tokio_postgres::Config>().is_ok_and(|url| url.get_password().is_some());
    if has_password {
        let title = "two passwords for the database";
        let label = "expected no password in the URL, or no file";
        return Err(Box::new(Problem::error(title, file.origin.place().clone(), label)));
    }
    Ok(with_password(&url, &password))
}

/// Warns of a file that others may read although a password stands in it.
pub(super) fn open_file_with_password(layer: &Layer, path: &Path, mode: u32) -> Option<Problem> {
    let url = layer.values.get("database.url")?;
    let Value::Secret(secret) = &url.value else { return None };
    let parsed: tokio_postgres::Config = secret.expose().parse().ok()?;
    (parsed.get_password().is_some() && mode & 0o077 != 0).then(|| {
        let title = format!(
            "`{}` holds a password and may be read by others (mode {:04o})",
            path.display(),
            mode & 0o7777
        );
        Problem::warning(title, url.origin.place().clone(), "`chmod 600` the file, or use `password_file`")
    })
}
