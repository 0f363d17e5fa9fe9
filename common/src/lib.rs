//! What `carom-ingest` and `carom-worker` agree on: the domain, the wire and the rim around them.
//!
//! The first half is pure: functions of their arguments, the time among them. The second half owns
//! the libraries that do I/O, one file each.

// The domain, in the order of a webhook's path.
pub mod id;
pub mod time;
pub mod source;
pub mod signature;
pub mod offer;
pub mod click;
pub mod intake;
pub mod track;
pub mod placeholder;
pub mod mapping;
pub mod decode;
pub mod redact;
pub mod event;
pub mod touch;
pub mod money;
pub mod identity;
pub mod attribution;
pub mod order;
pub mod conversion;
pub mod payout;
pub mod condition;
pub mod connector;
pub mod click_id_matching;
pub mod news;
pub mod template;
pub mod postback;
pub mod pixel;
pub mod library;
pub mod delivery;
pub mod retry;
pub mod dead_letter;
pub mod trace;
pub mod pipeline;

// The wire.
pub mod envelope;
pub mod topology;

// The rim.
pub mod config;
pub mod resources;
pub mod secret;
pub mod spelling;
pub mod telemetry;
pub mod backoff_policy;
pub mod amqp;
pub mod store;
