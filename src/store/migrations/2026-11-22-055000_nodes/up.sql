-- How far results of a job's further nodes are stored: bytes by the node's number. `results_offset` is the first one's.
ALTER TABLE job ADD COLUMN further_offsets jsonb NOT NULL DEFAULT '{}';
