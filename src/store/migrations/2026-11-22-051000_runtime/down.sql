DROP TABLE basis_size, runtime_history;
DROP TYPE work, quantity, measure;
ALTER TABLE compute_history DROP COLUMN started_on, DROP COLUMN peak_memory_bytes;
