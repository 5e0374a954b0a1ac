DROP TABLE lease, event, wavefunction_store, native_file, output_store, compute_history, task, demand, job, submission,
    optimization_trajectory, record_count, record, specification, molecule;
DROP FUNCTION count_records();
DROP TYPE output_type, placement, failure_class, job_outcome, job_state, submission_state, driver, record_type,
    record_status;
