//! The promises of `plan::predict::prior`.

use super::*;

#[test]
fn names_of_methods_are_sorted_by_cost() {
    use MethodKind::*;
    for (method, basis, kind) in [
        ("pm7", "", Semiempirical),
        ("gfn2-xtb", "", Semiempirical),
        ("gfn-ff", "", ForceField),
        ("ani2x", "", ForceField),
        ("hf", "sto-3g", MeanField),
        ("b3lyp-d3bj", "def2-svp", MeanField),
        ("r2scan-3c", "", MeanField),
        ("mp2", "cc-pvdz", SecondOrder),
        ("b2plyp", "def2-tzvp", SecondOrder),
        ("ccsd", "cc-pvdz", CoupledCluster),
        ("ccsd(t)", "cc-pvtz", Triples),
        ("dlpno-ccsd(t)", "cc-pvtz", Triples),
        ("something new", "", Semiempirical),
        ("something new", "def2-svp", MeanField),
    ] {
        assert_eq!(MethodKind::of(method, basis), kind, "{method}");
    }
}

#[test]
fn the_prior_knows_that_a_hessian_takes_longer_than_an_energy() {
    let key = |work| RuntimeKey { program: "psi4".into(), method: "hf".into(), basis: "sto-3g".into(), work };
    let middle = |work| stated(&key(work), Quantity::WallSeconds).location(0.5);
    assert!(middle(Work::Energy) < middle(Work::Gradient));
    assert!(middle(Work::Gradient) < middle(Work::Hessian));
}
