-- Where a holder's process number and start time mean something: those of a container say nothing on its host.
ALTER TABLE lease
    ADD COLUMN pid_namespace bigint,
    ADD COLUMN time_namespace bigint;

-- Whose tag has been called in doubt is looked up again after it was accepted: a second job of it may have come late.
ALTER TABLE submission
    ADD COLUMN rechecks integer NOT NULL DEFAULT 0,
    ADD COLUMN rechecked_on timestamptz;
CREATE INDEX submission_recheck ON submission (site, id) WHERE state = 'accepted' AND rechecks > 0;
