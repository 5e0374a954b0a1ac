DROP INDEX submission_recheck;
ALTER TABLE submission DROP COLUMN rechecks, DROP COLUMN rechecked_on;
ALTER TABLE lease DROP COLUMN pid_namespace, DROP COLUMN time_namespace;
