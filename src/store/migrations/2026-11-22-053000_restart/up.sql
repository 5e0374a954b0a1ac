-- Where the last attempt of an optimization was when it was stopped: the next one goes on from there. `attempt`, `geometry`
-- in bohr, `energy` in hartree, `gradients`.
ALTER TABLE task ADD COLUMN restart jsonb;
