-- Attempts that were cancelled while they lay in a chunk or were held by a job: whoever has them is told to let them be. A row
-- stays until nobody can have the attempt any more.
CREATE TABLE recall (
    task_id bigint NOT NULL,
    attempt integer NOT NULL,
    site text NOT NULL,
    pool text NOT NULL,
    chunk_id bigint,
    job_id bigint,
    PRIMARY KEY (task_id, attempt),
    CHECK ((chunk_id IS NULL) <> (job_id IS NULL))
);
