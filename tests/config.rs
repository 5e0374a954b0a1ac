//! The configuration as its users meet it: bad files and what is said of them, layers, origins, secrets, and the
//! promise that template and reference say what the schema says.
#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up has failed")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use qcbatch::config::{
    Config, ConfigError, LoadOptions, Loaded, Machine, Origins, Override, RenderStyle, TEMPLATE, TlsMode,
    check_file, reference,
};
use qcbatch::model::ids::PoolName;
use qcbatch::model::resources::Filling;

/// A home directory with files, an environment and flags; nothing of the machine that runs the test.
struct World {
    directory: tempfile::TempDir,
    options: LoadOptions,
}

impl World {
    fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let options = LoadOptions {
            explicit_file: None,
            system_file: directory.path().join("system.toml"),
            environment: Vec::new(),
            overrides: Vec::new(),
            machine: machine(directory.path().join("home")),
        };
        World { directory, options }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn system(self, text: &str) -> World {
        self.file("system.toml", text);
        self
    }

    fn user(self, text: &str) -> World {
        self.file("home/.config/qcbatch/qcbatch.toml", text);
        self
    }

    fn explicit(mut self, text: &str) -> World {
        self.options.explicit_file = Some(self.file("qcbatch.toml", text));
        self
    }

    fn variable(mut self, name: &str, value: &str) -> World {
        self.options.environment.push((name.into(), value.into()));
        self
    }

    fn set(mut self, text: &str) -> World {
        self.options.overrides.push(text.parse().unwrap());
        self
    }

    fn load(&self) -> Result<Loaded, ConfigError> {
        Config::load(&self.options)
    }

    fn loaded(&self) -> Loaded {
        self.load().unwrap_or_else(|error| panic!("{}", error.render(RenderStyle::Plain)))
    }

    fn config(&self) -> Config {
        self.loaded().config
    }

    /// What is said of it, errors and warnings, with the temporary directory as `DIR`.
    fn said(&self) -> String {
        let text = match self.load() {
            Err(error) => error.render(RenderStyle::Plain),
            Ok(loaded) => loaded
                .warnings
                .iter()
                .map(|warning| warning.render(RenderStyle::Plain))
                .collect::<Vec<_>>()
                .join("\n\n"),
        };
        text.replace(&self.directory.path().display().to_string(), "DIR")
    }
}

fn machine(home: PathBuf) -> Machine {
    Machine { cores: 6, hostname: "login1".into(), home, user: "ada".into() }
}

// ---------------------------------------------------------------------------------------------------- bad files

#[test]
fn every_problem_of_a_file_is_told_at_once() {
    let world = World::new().explicit(
        r#"
[site]
name = "my site"
state = "state"

[deamon]
tick = "2s"

[daemon]
tikc = "2s"
poll_interval = 30
lease = "60"
log = "debg"
log_format = "xml"
cores = 4

[database]
pool_size = 1
url = "mysql://ada:hunter2@db/qc"
tls = "on"

[defaults]
memory = "2 gigs"
walltime = 01:30:00
compute_tag = "Big Mem"

[[pool]]
name = "a"
cores = 0
walltime = "0s"
setup = ["module load psi4", 7]
environment = { "MY-VAR" = "x", N = 4 }

[[pool]]
name = "a"

[[pool]]
adapter = "../slurm"
sharing = true
"#,
    );
    let said = world.said();
    assert!(!said.contains("hunter2"), "{said}");
    insta::assert_snapshot!("every_problem_at_once", said);
}

#[test]
fn what_is_no_toml_is_told_with_the_rest() {
    let said = World::new()
        .explicit("[daemon]\ntick = 2s\nlease = \"60s\"\nlog = \"info\nlsae = 1\n[retry]\ntries = 0\n")
        .said();
    insta::assert_snapshot!("not_toml", said);
}

#[test]
fn problems_of_all_layers_are_told_together() {
    let world = World::new()
        .system("[daemon]\ntick = \"1x\"\n")
        .user("[retry]\ntries = -1\n")
        .variable("QCBATCH_DAEMON__LEASE", "1")
        .variable("QCBATCH_DAEMON__LEAES", "60s")
        .variable("QCBATCH_DAEMON_TICK", "2s")
        .variable("QCBATCH_SCHEDULER__SEARCH_PATH", "/opt/slurm/bin")
        .variable("QCBATCH_POOL__CORES", "hunter2")
        .variable("QCBATCH_JOB_ID", "17")
        .set("daemon.log=loud")
        .set("pool.cluster.cores=4")
        .set("pool.cores=4")
        .set("pool.local.cores=x")
        .set("worker.pyhton=python3")
        .set("database.url=postgres://ada:hunter2@db/qc");
    let said = world.said();
    assert!(!said.contains("hunter2"), "{said}");
    insta::assert_snapshot!("problems_of_all_layers", said);
}

#[test]
fn values_that_only_clash_together_are_told_where_they_stand() {
    let world = World::new()
        .system("[daemon]\nlease = \"30s\"\n")
        .user("[daemon]\ntick = \"15s\"\n[defaults]\npool = \"gone\"\n")
        .explicit(
            r#"
[daemon]
tick = "15s"
lease = "30s"
socket = "/a/very/long/path/that/no/socket/can/have/because/the/kernel/keeps/it/in/a/small/array/of/bytes/qcbatch.sock"

[database]
password_file = "/nowhere/password"

[database.tls]
root_certificate = "/etc/ca.pem"

[defaults]
pool = "gone"
memory = "64GiB"

[[pool]]
name = "slurm"
adapter = "slurm"
memory = "8GiB"
walltime = "1m"
warning = "2m"
poll_interval = "5s"
grace = "6s"
"#,
        );
    insta::assert_snapshot!("clashes", world.said());
}

#[test]
fn a_pool_for_programs_on_several_nodes_has_such_and_says_how_they_are_started() {
    let said = |pool: &str| World::new().explicit(&format!("[[pool]]\nname = \"mpi\"\n{pool}")).said();
    let command = "mpiexec = \"mpiexec -n {total_ranks} -N {ranks_per_node}\"\n";
    let pools = [
        "adapter = \"slurm\"\ntask_nodes = 4\n".to_owned(),
        format!("adapter = \"slurm\"\ntask_nodes = 4\ncores = 8\n{command}"),
        format!("task_nodes = 4\n{command}"),
        "adapter = \"slurm\"\ntask_nodes = 4\nmpiexec = \"mpiexec -n {ranks}\"\n".to_owned(),
    ];
    insta::assert_snapshot!("several_nodes", pools.map(|pool| said(&pool)).join("\n\n"));
    let without_effect = format!("adapter = \"slurm\"\n{command}");
    assert!(said(&without_effect).contains("`pool.mpiexec` has no effect"), "{}", said(&without_effect));
}

#[test]
fn a_clash_between_files_shows_both() {
    let world = World::new().system("[daemon]\nlease = \"30s\"\n").user("[daemon]\ntick = \"15s\"\n");
    insta::assert_snapshot!(world.said(), @r#"
    error: impossible value for `daemon.lease`: shorter than three ticks
     --> DIR/system.toml:2:9
      |
    2 | lease = "30s"
      |         ^^^^^ expected a lease of at least 45s
      |
     ::: DIR/home/.config/qcbatch/qcbatch.toml:2:8
      |
    2 | tick = "15s"
      |        ----- a tick is 15s
    "#);
}

#[test]
fn a_state_directory_too_deep_for_a_socket_is_told_even_by_default() {
    let mut world = World::new();
    world.options.machine.home = format!("/home/{}", "x".repeat(100)).into();
    let said = world.said();
    assert!(said.contains("built-in default") && said.contains("bytes long"), "{said}");
    let world = World::new().set(&format!("site.state=/{}", "x".repeat(100)));
    let said = world.said();
    assert!(said.contains("--set site.state=") && said.contains("a path of at most 103 bytes"), "{said}");
    World::new().set(&format!("daemon.socket=/{}", "x".repeat(102))).loaded();
}

#[test]
fn a_problem_in_one_line_is_fit_for_a_log() {
    let error = World::new().explicit("[daemon]\ntick = 5\n").load().unwrap_err();
    let text = error.to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(
        text.starts_with("the configuration is refused: ") && text.contains("qcbatch.toml:2: wrong type"),
        "{text}"
    );
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let mut world = World::new();
    world.options.explicit_file = Some("/nowhere/qcbatch.toml".into());
    let said = world.said();
    assert!(said.contains("cannot read the configuration file `/nowhere/qcbatch.toml`"), "{said}");
    assert!(said.contains("No such file"), "{said}");

    let world = World::new();
    let path = world.directory.path().join("system.toml");
    std::fs::write(path, b"[site]\nname = \"\xff\"\n").unwrap();
    assert!(world.said().contains("not UTF-8"), "{}", world.said());
}

// ------------------------------------------------------------------------------------------------ values, layers

#[test]
fn without_anything_there_is_this_machine() {
    let world = World::new();
    let loaded = world.loaded();
    let config = &loaded.config;
    let state = world.options.machine.home.join(".local/state/qcbatch");
    assert_eq!(config.site.state, state);
    assert_eq!(config.spool.path, state.join("spool"));
    assert_eq!(config.daemon.socket, state.join("qcbatch.sock"));
    assert_eq!(config.database.url, None);
    assert_eq!(config.database.tls.mode, TlsMode::Prefer);
    assert_eq!(config.pools.len(), 1);
    let pool = config.pool(&PoolName("local".into())).unwrap();
    assert_eq!((pool.adapter.as_str(), pool.max_jobs, pool.filling), ("local", 6, Filling::Spread));
    assert_eq!((pool.cores, pool.resources.memory_bytes), (None, None));
    assert_eq!(pool.poll_interval, config.daemon.poll_interval);
    assert_eq!(pool.worker_python, config.worker.python);
    assert!(loaded.warnings.is_empty() && loaded.files.is_empty());
}

#[test]
fn a_pool_of_a_cluster_does_not_ask_for_this_machine() {
    let config = World::new().explicit("[[pool]]\nname = \"c\"\nadapter = \"slurm\"\n").config();
    assert_eq!((config.pools[0].max_jobs, config.pools[0].filling), (20, Filling::Fill));
    assert_eq!((config.pools[0].cores, config.pools[0].resources.memory_bytes), (None, None));
}

#[test]
fn defaults_follow_what_they_depend_on() {
    let pool = |keys: &str| {
        World::new().explicit(&format!("[[pool]]\nname = \"c\"\n{keys}")).config().pools[0].clone()
    };
    let seconds = Duration::from_secs;
    let plain = pool("");
    assert_eq!((plain.warning, plain.grace), (seconds(120), seconds(300)));
    let hasty = pool("walltime = \"1m\"\npoll_interval = \"10m\"\n");
    assert_eq!((hasty.warning, hasty.grace), (seconds(15), seconds(1200)));
    let given = pool("walltime = \"1m\"\nwarning = \"30s\"\n");
    assert_eq!(given.warning, seconds(30));
}

#[test]
fn later_layers_win_key_by_key_and_each_value_keeps_its_origin() {
    let world = World::new()
        .system("[daemon]\ntick = \"1s\"\npoll_interval = \"1m\"\nlog = \"warn\"\n[[pool]]\nname = \"c\"\nadapter = \"slurm\"\nqueue = \"short\"\n")
        .user("[daemon]\npoll_interval = \"2m\"\nlog = \"debug\"\n[[pool]]\nname = \"c\"\nqueue = \"long\"\n[[pool]]\nname = \"mine\"\n")
        .variable("QCBATCH_DAEMON__LOG", "trace")
        .variable("QCBATCH_DAEMON__LOG_FORMAT", "json")
        .set("daemon.log_format=text")
        .set("pool.mine.cores=3")
        .set("pool.mine.programs=[\"psi4\", \"mopac\"]");
    let loaded = world.loaded();
    let config = &loaded.config;
    assert_eq!(config.daemon.tick, Duration::from_secs(1));
    assert_eq!(config.daemon.poll_interval, Duration::from_secs(120));
    assert_eq!(config.daemon.log, "trace");
    let names: Vec<&str> = config.pools.iter().map(|pool| pool.name.0.as_str()).collect();
    assert_eq!(names, ["c", "mine"]);
    assert_eq!(
        (config.pools[0].adapter.as_str(), config.pools[0].resources.queue.as_deref()),
        ("slurm", Some("long"))
    );
    assert_eq!((config.pools[1].adapter.as_str(), config.pools[1].cores), ("local", Some(3)));
    assert_eq!(config.pools[1].programs, ["psi4", "mopac"]);

    let shown = loaded.show(Origins::Shown).replace(&world.directory.path().display().to_string(), "DIR");
    let lines: Vec<&str> = shown
        .lines()
        .filter(|line| {
            ["tick", "log", "log_format", "queue", "cores", "lease"]
                .contains(&line.split(" =").next().unwrap())
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    tick = "1s"                                   # DIR/system.toml:2
    lease = "1m"                                  # default
    log = "trace"                                 # environment QCBATCH_DAEMON__LOG
    log_format = "text"                           # flag --set daemon.log_format=text
    cores = 1                                     # default
    queue = "long"                                # DIR/home/.config/qcbatch/qcbatch.toml:6
    cores = 3                                     # flag --set pool.mine.cores=3
    "#);
}

#[test]
fn an_explicit_file_takes_the_place_of_both_others() {
    let mut world = World::new().system("[retry]\ntries = 5\n").user("[retry]\nlosses = 5\n");
    let path = world.file("other.toml", "[site]\nname = \"x\"\n");
    world.options.environment.push(("QCBATCH_CONFIG".into(), path.display().to_string()));
    let config = world.config();
    assert_eq!((config.site.name.as_str(), config.retry.tries, config.retry.losses), ("x", 3, 20));
    world.options.explicit_file = Some(world.file("third.toml", "[retry]\ntries = 7\n"));
    assert_eq!(world.config().retry.tries, 7);
}

#[test]
fn directories_follow_the_environment_and_the_short_cut() {
    let world = World::new().variable("XDG_STATE_HOME", "/var/ada");
    assert_eq!(world.config().site.state, Path::new("/var/ada/qcbatch"));
    let world = world.variable("QCBATCH_STATE", "/short");
    assert_eq!(world.config().site.state, Path::new("/short"));
    let world = world.variable("QCBATCH_SITE__STATE", "~/{user}/{hostname}");
    assert_eq!(world.config().site.state, world.options.machine.home.join("ada/login1"));
    let mut world = world;
    world.options.overrides.push(Override::flag("--state", "site.state", "/flag"));
    assert_eq!(world.config().site.state, Path::new("/flag"));
    assert_eq!(world.config().spool.path, Path::new("/flag/spool"));
    let world = World::new().variable("XDG_STATE_HOME", "relative");
    assert_eq!(world.config().site.state, world.options.machine.home.join(".local/state/qcbatch"));
}

#[test]
fn every_word_of_every_choice_has_a_meaning() {
    for setting in [
        "database.tls.mode=disable",
        "database.tls.mode=prefer",
        "database.tls.mode=require",
        "database.tls.mode=verify-full",
        "daemon.log_format=text",
        "daemon.log_format=json",
        "defaults.compute_priority=low",
        "defaults.compute_priority=normal",
        "defaults.compute_priority=high",
        "pool.local.sharing=shared",
        "pool.local.sharing=exclusive",
    ] {
        World::new().set(setting).loaded();
    }
}

// ------------------------------------------------------------------------------------------------------- secrets

#[test]
fn secrets_are_read_from_private_files_and_never_shown() {
    let world = World::new();
    let password = world.file("password", "hunter2\n");
    let world = world.explicit(&format!(
        "[database]\nurl = \"postgres://ada@db/qc\"\npassword_file = \"{}\"\n",
        password.display()
    ));
    let loaded = world.loaded();
    let url = loaded.config.database.url.clone().unwrap();
    let parsed: tokio_postgres::Config = url.expose().parse().unwrap();
    assert_eq!(parsed.get_password(), Some(&b"hunter2"[..]));

    let shown = [
        format!("{loaded:?}"),
        format!("{:#?}", loaded.config),
        serde_json::to_string(&loaded.config).unwrap(),
        loaded.show(Origins::Shown),
        loaded.show_json().to_string(),
    ]
    .join("\n");
    assert!(!shown.contains("hunter2") && shown.contains("[redacted]"), "{shown}");

    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = world.said();
    assert!(said.contains("may be read by others (mode 0644)"), "{said}");
}

#[test]
fn a_url_with_a_password_is_hidden_in_show_and_debug() {
    for (name, value) in [
        ("QCBATCH_DATABASE__URL", "postgres://ada:hunter2@db/qc"),
        ("QCBATCH_DATABASE__URL", "host=db user=ada password=hunter2"),
    ] {
        let loaded = World::new().variable(name, value).loaded();
        assert_eq!(loaded.config.database.url.as_ref().unwrap().expose(), value);
        let shown = format!("{loaded:?} {} {}", loaded.show(Origins::Shown), loaded.show_json());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_url_file_holds_the_url_and_excludes_the_key() {
    let world = World::new();
    let path = world.file("url", "postgres://ada:hunter2@db/qc\n");
    let text = format!("[database]\nurl_file = \"{}\"\n", path.display());
    let world = world.explicit(&text);
    assert_eq!(world.config().database.url.unwrap().expose(), "postgres://ada:hunter2@db/qc");
    world.file("url", "hunter2\n");
    let said = world.said();
    assert!(said.contains("in the file of `database.url_file`") && !said.contains("hunter2"), "{said}");
    let world = World::new().explicit(&format!("{text}url = \"postgres://ada@db/qc\"\n"));
    assert!(world.said().contains("both `database.url` and `database.url_file`"), "{}", world.said());
}

#[test]
fn a_password_in_an_open_file_is_warned_of() {
    let world = World::new().explicit("[database]\nurl = \"postgres://ada:hunter2@db/qc\"\n");
    assert_eq!(world.said(), "");
    let path = world.options.explicit_file.clone().unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = world.said();
    assert!(said.contains("may be read by others (mode 0644)") && !said.contains("hunter2"), "{said}");
}

// ------------------------------------------------------------------------------------------ template, reference

/// The template with its settings uncommented, alternatives (`##`) left out.
fn uncommented() -> String {
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest.to_owned(),
        _ => line.to_owned(),
    };
    TEMPLATE.lines().map(uncomment).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_template_as_it_is_changes_nothing() {
    let world = World::new().explicit(TEMPLATE);
    let defaults = World {
        directory: tempfile::tempdir().unwrap(),
        options: LoadOptions { explicit_file: None, ..world.options.clone() },
    };
    assert_eq!(world.config(), defaults.config());
}

#[test]
fn the_template_uncommented_is_valid_and_shows_the_defaults() {
    let world = World::new().explicit(&uncommented());
    let loaded = world.loaded();
    let minimal = World { directory: tempfile::tempdir().unwrap(), options: world.options.clone() };
    let minimal = minimal.explicit("[[pool]]\nname = \"cluster\"\n").loaded();
    let origins = loaded.show(Origins::Shown);
    for line in origins.lines().filter(|line| line.contains(" = ")) {
        assert!(line.contains("qcbatch.toml:"), "not in the template: {line}");
    }
    let (shown, defaults) = (loaded.show(Origins::Hidden), minimal.show(Origins::Hidden));
    let machine_s_own = ["# cores", "max_jobs = 6", "worker_python = \"python3\"", "idle = \"15s\""];
    for (ours, default) in shown.lines().zip(defaults.lines()) {
        if !default.starts_with("# ") && !machine_s_own.contains(&default) {
            assert_eq!(ours, default);
        }
    }
}

#[test]
fn every_key_is_in_the_template() {
    let mut section = String::new();
    let mut keys = Vec::new();
    for line in TEMPLATE.lines() {
        let line = line.trim_start_matches('#');
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_matches(['[', ']']).to_owned();
        } else if let Some((name, _)) = line.split_once(" = ")
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            keys.push(format!("{section}.{name}"));
        }
    }
    let mut expected = Vec::new();
    for line in reference().lines() {
        if let Some(name) = line.strip_prefix("### `") {
            section = name.trim_matches(['[', ']', '`']).to_owned();
        } else if let Some(rest) = line.strip_prefix("| `") {
            expected.push(format!("{section}.{}", rest.split('`').next().unwrap()));
        }
    }
    keys.sort();
    expected.sort();
    assert_eq!(keys, expected);
}

#[test]
fn what_show_prints_is_a_configuration_itself() {
    let world = World::new().explicit("[retry]\ntries = 9\n[[pool]]\nname = \"c\"\nsetup = [\"a 'b' \\\"c\\\"\"]\nenvironment = { A = \"1\" }\n");
    let loaded = world.loaded();
    for origins in [Origins::Shown, Origins::Hidden] {
        let again = World { directory: tempfile::tempdir().unwrap(), options: world.options.clone() };
        assert_eq!(again.explicit(&loaded.show(origins)).config(), loaded.config);
    }
}

/// The reference is part of the document word by word. `UPDATE_DOCS=1` writes it.
#[test]
fn the_reference_says_what_the_schema_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- keys: begin -->\n", "<!-- keys: end -->");
    let (before, rest) = text.split_once(begin).expect("the document has a place for the keys");
    let (_, after) = rest.split_once(end).expect("the place for the keys ends");
    let expected = format!("{before}{begin}\n{}{end}{after}", reference());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    } else {
        assert_eq!(text, expected, "docs/configuration.md is behind the schema; run with UPDATE_DOCS=1");
    }
}

#[test]
fn a_file_is_checked_alone() {
    let world = World::new();
    let machine = &world.options.machine;
    let good = world.file("good.toml", "[site]\nname = \"x\"\n");
    let checked = check_file(&good, machine, RenderStyle::Plain);
    assert_eq!((checked.errors, checked.warnings, checked.rendered.as_str()), (0, 0, ""));
    let bad = world.file("bad.toml", "[site]\nname = 1\n[daemon]\ntick = 2\n[[pool]]\nname = \"x\"\nadapter = \"slurm\"\npoll_interval = \"1s\"\n");
    let checked = check_file(&bad, machine, RenderStyle::Coloured);
    assert_eq!((checked.errors, checked.warnings), (2, 1));
    assert!(checked.rendered.contains('\x1b'));
    let checked = check_file(Path::new("/nowhere.toml"), machine, RenderStyle::Plain);
    assert_eq!(checked.errors, 1);
}
