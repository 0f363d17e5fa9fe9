//! The harness of Carom's scenarios: a real broker, the real binaries, real sockets.
//!
//! A scenario reads as: a [`broker::Broker`], a [`receiver::Receiver`], a [`stack::Stack`] that sends to it,
//! a [`client::Client`] that clicks and sends events, and [`eventually::eventually`] for what must come of
//! it. Everything here ends only processes that it started, and no `Drop` waits for longer than seconds.
//!
//! Harness functions return errors, so that the demo (`carom-demo`) can tell them to a person. A stack that
//! is dropped without [`stack::Stack::finish`] shows the end of its logs: that is how a failed test explains
//! itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a harness fails loudly and prints its figures; who reads it reads its code"
)]

// What a scenario is written with, in the order in which it needs it.
pub mod broker;
pub mod receiver;
pub mod clickfunnels;
pub mod tls;
pub mod hostile;
pub mod resources;
pub mod stack;
pub mod client;
pub mod fixture;
pub mod country_database;
pub mod table;
pub mod order;
pub mod shuffle;
pub mod eventually;
pub mod load;
pub mod traffic;
pub mod steady;
pub mod accounting;
pub mod proxy;
pub mod faults;
pub mod memory;
pub mod another;
pub mod letters;
pub mod metrics;
pub mod prometheus;
pub mod browser;

// What those stand on.
pub mod management;
pub mod node;
pub mod postgres;
pub mod process;
pub mod ports;
pub mod wire;
pub mod namespace;
pub mod name_server;

// The demo.
pub mod demo;

// What is measured and never asserted.
pub mod measure;
