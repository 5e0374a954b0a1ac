-- Keywords and extras come out as they went in: jsonb makes an integer of 1e18 and a 0 of -0.0. What is stored stays as
-- jsonb had made it; a specification that is asked for again gets its keywords back (see `store/specification.rs`).
ALTER TABLE specification ALTER COLUMN keywords TYPE json USING keywords::json;
ALTER TABLE record
    ALTER COLUMN extras DROP DEFAULT,
    ALTER COLUMN extras TYPE json USING extras::json,
    ALTER COLUMN extras SET DEFAULT '{}';
