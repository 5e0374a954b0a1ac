-- Who this database is. The id travels with everything that leaves it for the spool, and comes back with every report.
-- `restore` retires it and makes a new one; the retired ones tell which reports are of the same lineage.
-- `restore` runs this file too, for backups of before there was such a table: it may find its work done.
CREATE TABLE IF NOT EXISTS database_identity (
    id text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{32}$'),
    since timestamptz NOT NULL DEFAULT now(),
    retired_on timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS database_identity_current ON database_identity ((true)) WHERE retired_on IS NULL;
INSERT INTO database_identity (id)
    SELECT replace(gen_random_uuid()::text, '-', '')
    WHERE NOT EXISTS (SELECT FROM database_identity WHERE retired_on IS NULL);
