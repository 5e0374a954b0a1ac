-- Demands that differ in their nodes only would be one: without the column they stay apart by their ids alone.
DROP INDEX demand_same;
ALTER TABLE demand DROP COLUMN nodes;
CREATE INDEX demand_same ON demand (required_programs, compute_tag, coalesce(pool, ''), coalesce(cores, -1),
    coalesce(memory_bytes, -1), coalesce(walltime_seconds, -1), coalesce(gpus, -1));
