DROP TABLE report_aside;
ALTER TABLE task DROP COLUMN calculation_hash;
