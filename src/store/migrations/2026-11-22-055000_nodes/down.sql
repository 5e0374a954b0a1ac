ALTER TABLE job DROP COLUMN further_offsets;
