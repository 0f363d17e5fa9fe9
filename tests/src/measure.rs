//! Measurements: figures that are printed, never asserted, because they are the machine's as much as ours.

pub mod isolation;
pub mod spool;
