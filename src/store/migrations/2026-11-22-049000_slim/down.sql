ALTER TABLE task ADD FOREIGN KEY (record_id) REFERENCES record ON DELETE CASCADE, ADD FOREIGN KEY (demand_id) REFERENCES demand,
    ADD FOREIGN KEY (job_id) REFERENCES job;
DROP INDEX task_failed, record_created;
ALTER TABLE record ADD FOREIGN KEY (specification_id) REFERENCES specification, ADD FOREIGN KEY (molecule_id) REFERENCES molecule,
    ADD FOREIGN KEY (final_molecule_id) REFERENCES molecule, ADD properties jsonb, RESET (fillfactor);
CREATE INDEX record_created ON record (created_on);
CREATE INDEX record_open ON record (status, id) WHERE status <> 'complete';
ALTER TABLE molecule ALTER document TYPE jsonb USING document::jsonb;
UPDATE record SET properties = h.properties::jsonb, extras = record.extras || coalesce(h.extras::jsonb, '{}')
    FROM compute_history h WHERE h.record_id = record.id AND h.status = 'complete';

CREATE TYPE output_type AS ENUM ('stdout', 'stderr', 'error');
ALTER TABLE compute_history DROP CONSTRAINT compute_history_pkey, ADD PRIMARY KEY (id);
CREATE INDEX compute_history_record ON compute_history (record_id, id);
CREATE TABLE output_store (
    history_id bigint NOT NULL REFERENCES compute_history ON DELETE CASCADE,
    output_type output_type NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (history_id, output_type)
);
ALTER TABLE output_store ALTER data SET STORAGE EXTERNAL;
INSERT INTO output_store
    SELECT id, 'stdout'::output_type, stdout FROM compute_history WHERE stdout IS NOT NULL
    UNION ALL SELECT id, 'stderr', stderr FROM compute_history WHERE stderr IS NOT NULL
    UNION ALL SELECT id, 'error', error FROM compute_history WHERE error IS NOT NULL;
ALTER TABLE compute_history DROP properties, DROP extras, DROP stdout, DROP stderr, DROP error,
    ALTER provenance TYPE jsonb USING provenance::jsonb,
    ADD FOREIGN KEY (record_id) REFERENCES record ON DELETE CASCADE, ADD FOREIGN KEY (job_id) REFERENCES job;
