-- Nodes over which a task asks to run.
ALTER TABLE demand ADD COLUMN nodes integer;
DROP INDEX demand_same;
CREATE UNIQUE INDEX demand_same ON demand (required_programs, compute_tag, coalesce(pool, ''), coalesce(cores, -1),
    coalesce(memory_bytes, -1), coalesce(walltime_seconds, -1), coalesce(gpus, -1), coalesce(nodes, -1));
