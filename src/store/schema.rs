//! The tables as diesel types, kept by hand; a test compares it with `information_schema`.
//! Row structs take the SQL types of their columns from here.

#![allow(missing_docs)] // the tables are described in the migration

use diesel::table;

table! {
    use diesel::sql_types::*;

    basis_size (program, basis, formula) {
        program -> Text,
        basis -> Text,
        formula -> Text,
        functions -> Integer,
    }
}

table! {
    use diesel::sql_types::*;
    use crate::store::types::sql::*;

    chunk (id) {
        id -> ChunkId,
        site -> Text,
        pool -> PoolName,
        state -> ChunkState,
        compute_priority -> SmallInt,
        tasks -> Integer,
        cores -> Integer,
        memory_bytes -> BigInt,
        gpus -> Integer,
        walltime_seconds -> BigInt,
        expected_seconds -> Double,
        job_id -> Nullable<JobId>,
        modified_on -> Timestamptz,
    }
}

table! {
    use diesel::sql_types::*;
    use crate::store::types::sql::*;

    compute_history (id) {
        id -> BigInt,
        record_id -> RecordId,
        job_id -> Nullable<JobId>,
        attempt -> Integer,
        status -> RecordStatus,
        failure -> Nullable<FailureClass>,
        error_type -> Nullable<Text>,
        hostname -> Nullable<Text>,
        cores -> Nullable<Integer>,
        memory_bytes -> Nullable<BigInt>,
        wall_seconds -> Nullable<Double>,
        cpu_seconds -> Nullable<Double>,
        modified_on -> Timestamptz,
        program -> Nullable<Text>,
        program_version -> Nullable<Text>,
        provenance -> Nullable<Json>,
        properties -> Nullable<Json>,
        extras -> Nullable<Json>,
        stdout -> Nullable<Bytea>,
        stderr -> Nullable<Bytea>,
        error -> Nullable<Bytea>,
        peak_memory_bytes -> Nullable<BigInt>,
        started_on -> Nullable<Timestamptz>,
    }
}

table! {
    use diesel::sql_types::*;

    database_identity (id) {
        id -> Text,
        since -> Timestamptz,
        retired_on -> Nullable<Timestamptz>,
    }
}

table! {
    use diesel::sql_types::*;

    demand (id) {
        id -> BigInt,
        required_programs -> Array<Text>,
        compute_tag -> Text,
        pool -> Nullable<Text>,
        cores -> Nullable<Integer>,
        memory_bytes -> Nullable<BigInt>,
        walltime_seconds -> Nullable<BigInt>,
        gpus -> Nullable<Integer>,
        nodes -> Nullable<Integer>,
    }
}

table! {
    use diesel::sql_types::*;
    use crate::store::types::sql::*;

    event (id) {
        id -> BigInt,
        at -> Timestamptz,
        kind -> Text,
        record_id -> Nullable<RecordId>,
        submission_id -> Nullable<SubmissionId>,
        job_id -> Nullable<JobId>,
        message -> Text,
    }
}

table! {
    use diesel::sql_types::*;
    use crate::store::types::sql::*;

    job (id) {
        id -> JobId,
        submission_id -> SubmissionId,
        site -> Text,
        pool -> PoolName,
        array_index -> Integer,
        state -> JobState,
        placement -> Placement,
        tasks -> Integer,
        scheduler_job_id -> Nullable<SchedulerJobId>,
        scheduler_reason -> Nullable<Text>,
        outcome -> Nullable<JobOutcome>,
        exit_code -> Nullable<Integer>,
        signal -> Nullable<Integer>,
        hostname -> Nullable<Text>,
        results_offset -> BigInt,
        beat -> BigInt,
        beat_on -> Nullable<Timestamptz>,
        cancel_requested_on -> Nullable<Timestamptz>,
        missing_since -> Nullable<Timestamptz>,
        missing_polls -> Integer,
        queued_on -> Nullable<Timestamptz>,
        started_on -> Nullable<Timestamptz>,
        ended_on -> Nullable<Timestamptz>,
        modified_on -> Timestamptz,
        pilot -> Bool,
        further_offsets -> Jsonb,
    }
}

table! {
    use diesel::sql_types::*;

    lease (site) {
        site -> Text,
        fence -> BigInt,
        hostname -> Text,
        boot_id -> Text,
        pid -> Integer,
        pid_started -> BigInt,
        expires_on -> Timestamptz,
        pid_namespace -> Nullable<BigInt>,
        time_namespace -> Nullable<BigInt>,
    }
}

table! {
    use diesel::sql_types::*;

    node (site, hostname) {
        site -> Text,
        hostname -> Text,
        cluster -> Text,
        reason -> Text,
        since -> Timestamptz,
        until -> Timestamptz,
        times -> Integer,
    }
}

table! {
    use diesel::sql_types::*;
    use crate::store::types::sql::*;

    molecule (id) {
        id -> MoleculeId,
        molecule_hash -> Text,
        formula -> Text,
        atoms -> Integer,
        molecular_charge -> Double,
        molecular_multiplicity -> Integer,
        document -> Json,
    }
}

table! {
    use diesel::sql_types::*;
    use crate::store::types::sql::*;

    native_file (record_id, name) {
        record_id -> RecordId,
        name -> Text,
        data -> Bytea,
    }
}

table! {
    use diesel::sql_types::*;
    use crate::store::types::sql::*;

    optimization_trajectory (optimization_id, position) {
        optimization_id -> RecordId,
        position -> Integer,
        singlepoint_id -> RecordId,
    }
}

table! {
    use diesel::sql_types::*;
    use crate::store::types::sql::*;

    recall (task_id, attempt) {
        task_id -> TaskId,
        attempt -> Integer,
        site -> Text,
        pool -> PoolName,
        chunk_id -> Nullable<ChunkId>,
        job_id -> Nullable<JobId>,
    }
}

table! {
    use diesel::sql_types::*;
    use crate::store::types::sql::*;

    record (id) {
        id -> RecordId,
        record_type -> RecordType,
        status -> RecordStatus,
        specification_id -> SpecificationId,
        molecule_id -> MoleculeId,
        final_molecule_id -> Nullable<MoleculeId>,
        last_job_id -> Nullable<JobId>,
        requested -> Bool,
        compute_tag -> Text,
        owner_user -> Text,
        return_energy -> Nullable<Double>,
        energies -> Nullable<Array<Double>>,
        extras -> Json,
        created_on -> Timestamptz,
        modified_on -> Timestamptz,
    }
}

table! {
    use diesel::sql_types::*;
    use crate::store::types::sql::*;

    record_count (status) {
        status -> RecordStatus,
        change -> BigInt,
    }
}

table! {
    use diesel::sql_types::*;
    use crate::store::types::sql::*;

    report_aside (id) {
        id -> AsideId,
        site -> Text,
        at -> Timestamptz,
        reason -> Text,
        job_id -> JobId,
        record_id -> RecordId,
        task_id -> TaskId,
        attempt -> Integer,
        outcome -> Text,
        report -> Bytea,
    }
}

table! {
    use diesel::sql_types::*;
    use crate::store::types::sql::*;

    runtime_history (id) {
        id -> BigInt,
        program -> Text,
        method -> Text,
        basis -> Text,
        work -> Work,
        site -> Text,
        pool -> PoolName,
        cores -> Integer,
        quantity -> Quantity,
        measure -> Measure,
        weight -> Double,
        x -> Double,
        y -> Double,
        xx -> Double,
        xy -> Double,
        yy -> Double,
        runs -> BigInt,
        stopped -> BigInt,
        since -> Timestamptz,
    }
}

table! {
    use diesel::sql_types::*;
    use crate::store::types::sql::*;

    specification (id) {
        id -> SpecificationId,
        record_type -> RecordType,
        specification_hash -> Text,
        program -> Text,
        driver -> Driver,
        method -> Text,
        basis -> Text,
        keywords -> Json,
        protocols -> Jsonb,
        qc_specification_id -> Nullable<BigInt>,
    }
}

table! {
    use diesel::sql_types::*;
    use crate::store::types::sql::*;

    submission (id) {
        id -> SubmissionId,
        site -> Text,
        pool -> PoolName,
        tag -> Tag,
        state -> SubmissionState,
        resources -> Jsonb,
        array_size -> Integer,
        scheduler_job_id -> Nullable<SchedulerJobId>,
        fence -> Fence,
        calls -> Integer,
        called_on -> Nullable<Timestamptz>,
        empty_lookups -> Integer,
        empty_lookup_on -> Nullable<Timestamptz>,
        not_before -> Nullable<Timestamptz>,
        last_error -> Nullable<Text>,
        swept_on -> Nullable<Timestamptz>,
        created_on -> Timestamptz,
        modified_on -> Timestamptz,
        cluster -> Nullable<Text>,
        rechecks -> Integer,
        rechecked_on -> Nullable<Timestamptz>,
    }
}

table! {
    use diesel::sql_types::*;
    use crate::store::types::sql::*;

    task (id) {
        id -> TaskId,
        record_id -> RecordId,
        demand_id -> BigInt,
        compute_priority -> SmallInt,
        placement -> Placement,
        available -> Bool,
        job_id -> Nullable<JobId>,
        attempt -> Integer,
        tries -> Integer,
        losses -> Integer,
        last_failure -> Nullable<FailureClass>,
        not_before -> Nullable<Timestamptz>,
        waiting_reason -> Nullable<Text>,
        sort_date -> Timestamptz,
        chunk_id -> Nullable<ChunkId>,
        restart -> Nullable<Jsonb>,
        calculation_hash -> Nullable<CalculationHash>,
    }
}

table! {
    use diesel::sql_types::*;
    use crate::store::types::sql::*;

    wavefunction_store (record_id) {
        record_id -> RecordId,
        data -> Bytea,
    }
}
