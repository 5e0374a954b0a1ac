//! The promises of `config::text`.

use super::*;

#[test]
fn what_is_allowed_and_what_is_not() {
    let long = "x".repeat(65);
    for (kind, good, bad) in [
        (Kind::Word, vec!["gpu", "a&b|c"], vec!["", "a b", "-p", "a\nb"]),
        (Kind::Name, vec!["big-mem_2", "0"], vec!["a b", "a/b", "_x", "-x", "ü", &long]),
        (Kind::Choice(&["text", "json"]), vec!["json"], vec!["JSON", "xml"]),
        (
            Kind::Path,
            vec!["/a/b", "~/x", "{state}/spool", "/scratch/{user}/q"],
            vec!["a/b", "~", "/{x}", "/{user", "$HOME/x"],
        ),
        (Kind::Program, vec!["python3.11", "/opt/py/bin/python"], vec!["a b", "-m", "venv/bin/python"]),
        (Kind::FileName, vec!["base.sh.j2"], vec!["a/b", "..", "."]),
        (Kind::ProgramName, vec!["psi4", "*", "dftd4", "s-dftd3", "xtb+"], vec!["Psi4", "a*"]),
        (Kind::ComputeTag, vec!["*", "small_mem", "v1.2-b"], vec!["Big", "a b", "a*", &long]),
        (Kind::ShellLine, vec!["module load psi4", "x=$(y)\t# z"], vec!["a\nb", "a\0"]),
        (
            Kind::MpiCommand,
            vec![
                "srun -N {nnodes} --ntasks-per-node={ranks_per_node}",
                "mpiexec -n {total_ranks} -N {ranks_per_node}",
            ],
            vec![
                "mpiexec",
                "mpiexec -n {total_ranks}",
                "mpiexec -n {ranks} -N {ranks_per_node}",
                "m {nnodes",
            ],
        ),
        (Kind::Directive, vec!["--x=y", "-l nodes=1"], vec!["x", "#SBATCH -x"]),
        (Kind::VariableName, vec!["OMP_NUM_THREADS", "_x1"], vec!["1x", "a-b", "a b", "ä"]),
        (
            Kind::DatabaseUrl,
            vec!["postgres://u:p@h:5432/d?sslmode=require", "host=/run/pg dbname=x"],
            vec!["mysql://u@h/d", "postgres://u@h:port/d", "postgres:///d", "dbname=x", "nonsense"],
        ),
        (Kind::LogFilter, vec!["debug", "info,qcbatch::plan=trace"], vec!["loud", "info,=x=y"]),
    ] {
        for content in good {
            assert_eq!(check(&kind, content), Ok(()), "{kind:?} {content:?}");
        }
        for content in bad {
            assert!(check(&kind, content).is_err(), "{kind:?} {content:?}");
        }
    }
}
