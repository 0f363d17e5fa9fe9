//! Measurements: figures that are printed, never asserted, because they are the machine's as much as ours.

pub mod dead_letters;
pub mod isolation;
