ALTER TABLE record
    ALTER COLUMN extras DROP DEFAULT,
    ALTER COLUMN extras TYPE jsonb USING extras::jsonb,
    ALTER COLUMN extras SET DEFAULT '{}';
ALTER TABLE specification ALTER COLUMN keywords TYPE jsonb USING keywords::jsonb;
