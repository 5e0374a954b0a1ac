//! The words of the project as types: records, tasks, jobs, their states and legal transitions. No I/O, no clocks.

pub mod calculation;
pub mod capability;
pub mod causes;
pub mod chunk;
pub mod failure;
pub mod identity;
pub mod ids;
pub mod job;
pub mod json_size;
pub mod limits;
pub mod molecule;
pub mod notice;
pub mod qcschema;
pub mod record;
pub mod resources;
pub mod runtime;
pub mod task;
pub mod timing;
pub mod view;
