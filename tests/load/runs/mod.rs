//! The runs, each a question with its figures.

pub mod limits;
pub mod accept;
pub mod deliver;
pub mod latency;
pub mod redirect;
pub mod flat;
pub mod memory;
pub mod track;
pub mod journeys;
