DROP INDEX record_final_molecule;
