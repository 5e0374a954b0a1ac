ALTER TABLE record SET (fillfactor = 50);
