//! Molecules as QCSchema v1 JSON, the form in which they are stored and handed to programs. Pure.

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{Molecule, MoleculeDocument};

impl Molecule {
    /// The molecule as a QCSchema v1 `qcschema_molecule` document, flat geometry in bohr.
    pub fn to_qcschema(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}

impl Serialize for Molecule {
    /// Writes every field that is not a default. The frame is always fixed, as QCArchive has it: a program must not turn
    /// what gradients and Hessians belong to.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema_name", "qcschema_molecule")?;
        map.serialize_entry("schema_version", &2)?;
        map.serialize_entry("validated", &true)?;
        map.serialize_entry("symbols", &self.elements)?;
        map.serialize_entry("geometry", &self.geometry)?;
        map.serialize_entry("molecular_charge", &self.molecular_charge)?;
        map.serialize_entry("molecular_multiplicity", &self.molecular_multiplicity)?;
        map.serialize_entry("fix_com", &true)?;
        map.serialize_entry("fix_orientation", &true)?;
        serialize_some(&mut map, "fix_symmetry", &self.fix_symmetry)?;
        serialize_some(&mut map, "masses", &self.masses)?;
        serialize_some(&mut map, "mass_numbers", &self.mass_numbers)?;
        serialize_some(&mut map, "real", &self.real)?;
        serialize_some(&mut map, "atom_labels", &self.atom_labels)?;
        if let Some(bonds) = &self.connectivity {
            let bonds: Vec<_> = bonds.iter().map(|bond| (bond.first, bond.second, bond.order)).collect();
            map.serialize_entry("connectivity", &bonds)?;
        }
        if let Some(fragments) = &self.fragments {
            let atoms: Vec<Vec<u32>> =
                fragments.iter().map(|fragment| fragment.atoms.clone().collect()).collect();
            let charges: Vec<f64> = fragments.iter().map(|fragment| fragment.charge).collect();
            let multiplicities: Vec<u32> = fragments.iter().map(|fragment| fragment.multiplicity).collect();
            map.serialize_entry("fragments", &atoms)?;
            map.serialize_entry("fragment_charges", &charges)?;
            map.serialize_entry("fragment_multiplicities", &multiplicities)?;
        }
        serialize_some(&mut map, "name", &self.name)?;
        serialize_some(&mut map, "comment", &self.comment)?;
        for (key, members) in
            [("identifiers", &self.identifiers), ("provenance", &self.provenance), ("extras", &self.extras)]
        {
            if !members.is_empty() {
                map.serialize_entry(key, members)?;
            }
        }
        map.end()
    }
}

fn serialize_some<M: SerializeMap, T: Serialize>(
    map: &mut M,
    key: &'static str,
    value: &Option<T>,
) -> Result<(), M::Error> {
    value.as_ref().map_or(Ok(()), |value| map.serialize_entry(key, value))
}

impl<'de> Deserialize<'de> for Molecule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Molecule, D::Error> {
        Molecule::try_from(MoleculeDocument::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
