//! The Node addon: translates JavaScript values to the core's types and back, and hands over.
//!
//! Nothing here blocks the event loop: work is submitted, and answers come back from engine threads
//! through thread-safe functions. `index.js` wraps these classes in the public ones.

mod engine;
mod engine_options;
mod error;
mod image;
mod metrics;
mod model;
mod number;
mod request_options;
mod result;
