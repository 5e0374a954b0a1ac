-- Tasks that only a chunk holds go back to the queue: nobody else would.
UPDATE record SET status = 'waiting' FROM task
    WHERE task.record_id = record.id AND task.chunk_id IS NOT NULL AND task.job_id IS NULL AND record.status = 'running';
UPDATE task SET available = true, chunk_id = NULL WHERE chunk_id IS NOT NULL AND job_id IS NULL;
ALTER TABLE submission DROP cluster;
ALTER TABLE job DROP pilot;
ALTER TABLE task DROP chunk_id;
DROP TABLE chunk;
DROP TYPE chunk_state;
