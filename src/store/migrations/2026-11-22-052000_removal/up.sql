-- Removing a molecule makes PostgreSQL look for records whose final molecule it is.
CREATE INDEX record_final_molecule ON record (final_molecule_id) WHERE final_molecule_id IS NOT NULL;
