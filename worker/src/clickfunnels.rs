//! ClickFunnels as a partner: through its API our endpoint is set up there, and what never arrived is asked
//! for (`[source.api]`).
//!
//! Beside the path, never on it: what it finds missing goes onto `carom.events` as any other intake. All its
//! requests go out through `egress`.

// What is asked and answered.
pub mod api;
mod page;
mod refusal;

// Setting up.
pub mod setup;
mod plan;
mod secret_file;

// Reconciling.
pub mod reconcile;
mod record;
mod gap;
pub mod timer;

#[cfg(test)]
mod script;
