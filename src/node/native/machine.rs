//! What QCEngine's provenance says of the machine beside its name. Read once: it stays as it is while a job runs.

use std::fs;
use std::sync::LazyLock;

/// Processor and account.
#[derive(Debug)]
pub struct Machine {
    /// The processor, as its maker calls it.
    pub cpu: String,
    /// The account that computes.
    pub username: String,
}

static MACHINE: LazyLock<Machine> = LazyLock::new(|| Machine {
    cpu: fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| brand(&text)).unwrap_or_default(),
    username: username().unwrap_or_default(),
});

/// This machine.
pub fn this() -> &'static Machine {
    &MACHINE
}

/// The first processor's name. Processors of other makers than x86's have none there.
fn brand(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn username() -> Option<String> {
    let told = ["LOGNAME", "USER"].iter().find_map(|name| std::env::var(name).ok());
    told.filter(|name| !name.is_empty()).or_else(|| {
        let user = nix::unistd::User::from_uid(nix::unistd::Uid::current());
        user.ok().flatten().map(|user| user.name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processors_name_is_read_where_there_is_one() {
        let intel =
            "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Intel(R) Xeon(R) Processor\nstepping\t: 4\n";
        assert_eq!(brand(intel).as_deref(), Some("Intel(R) Xeon(R) Processor"));
        assert_eq!(brand("processor\t: 0\nBogoMIPS\t: 50.00\n"), None);
    }
}
