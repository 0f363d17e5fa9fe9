//! What `carom-ingest` and `carom-worker` agree on: the domain, the wire and the rim around them.
//!
//! The first half is pure: functions of their arguments, the time among them. The second half owns
//! the libraries that do I/O, one file each.

// The domain, in the order of a webhook's path.
pub mod attribution;
pub mod click;
pub mod connector;
pub mod conversion;
pub mod dead_letter;
pub mod decode;
pub mod delivery;
pub mod event;
pub mod id;
pub mod intake;
pub mod mapping;
pub mod money;
pub mod offer;
pub mod placeholder;
pub mod postback;
pub mod retry;
pub mod source;
pub mod template;
pub mod time;
pub mod trace;

// The wire.
pub mod envelope;
pub mod topology;

// The rim.
pub mod amqp;
pub mod backoff_policy;
pub mod config;
pub mod resources;
pub mod secret;
pub mod store;
pub mod telemetry;
