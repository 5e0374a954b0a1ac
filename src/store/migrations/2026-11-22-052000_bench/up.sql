-- Removing a molecule makes PostgreSQL look for records whose final molecule it is.
CREATE INDEX record_final_molecule ON record (final_molecule_id) WHERE final_molecule_id IS NOT NULL;

-- When an attempt began by its node's clock. (Another migration may have added it.)
ALTER TABLE compute_history ADD COLUMN IF NOT EXISTS started_on timestamptz;
