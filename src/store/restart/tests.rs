//! The promises of `store::restart`.

use super::*;

fn calculation(record_type: &str) -> Calculation {
    let qc = json!({"program": "mopac", "driver": "deferred", "method": "pm7", "basis": "", "keywords": {},
        "protocols": {}});
    let mut specification = match record_type {
        "optimization" => {
            json!({"program": "geometric", "keywords": {}, "protocols": {}, "qc_specification": qc})
        }
        _ => qc,
    };
    specification["record_type"] = json!(record_type);
    serde_json::from_value(json!({"specification": specification, "extras": {"mine": 1},
        "molecule": {"symbols": ["H", "F"], "geometry": [0, 0, 0, 0, 0, 1.7], "name": "acid"}}))
    .unwrap()
}

fn restart(geometry: Value) -> Option<Value> {
    Some(json!({"attempt": 3, "geometry": geometry, "energy": -1.5, "gradients": 7}))
}

#[test]
fn an_optimization_goes_on_where_it_was_and_says_so() {
    let before = calculation("optimization");
    let after = go_on(before.clone(), restart(json!([0, 0, 0.1, 0, 0, 1.8])));
    assert_eq!(after.molecule.geometry(), [0.0, 0.0, 0.1, 0.0, 0.0, 1.8]);
    assert_eq!((after.molecule.name(), after.molecule.molecular_charge()), (Some("acid"), 0.0));
    assert_eq!(after.extras["mine"], 1);
    assert_eq!(after.extras[RESTART_EXTRA], json!({"attempt": 3, "gradients": 7, "energy": -1.5}));
    assert_eq!(go_on(before.clone(), None), before);
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let optimization = calculation("optimization");
    for geometry in [json!([0, 0, 0]), json!([0, 0, 0, 0, 0, 0]), json!([0, 0, 0, 0, 0, 1e9]), json!("far")] {
        assert_eq!(go_on(optimization.clone(), restart(geometry.clone())), optimization, "{geometry}");
    }
    let singlepoint = calculation("singlepoint");
    assert_eq!(go_on(singlepoint.clone(), restart(json!([0, 0, 0, 0, 0, 1.8]))), singlepoint);
}
