DROP TABLE lease, event, wavefunction_store, native_file, output_store, compute_history, task, job, submission,
    optimization_trajectory, record, specification, molecule;
DROP TYPE output_type, placement, failure_class, job_outcome, job_state, submission_state, driver, record_type,
    record_status;
