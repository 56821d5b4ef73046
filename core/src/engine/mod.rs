//! Requests in, answers out: admission, a bounded queue, decoding, dynamic batches, workers.
//!
//! | file | job |
//! | --- | --- |
//! | `engine` | the public face; starts and stops the threads |
//! | `admission` | what is refused at the door |
//! | `batcher` | the state machine that decides who runs with whom and when |
//! | `shared` | the lock around it, and the way from its actions to threads and callers |
//! | `intake`, `worker` | what decode threads and workers do |
//! | `completion`, `pending` | where an answer meets its caller |

mod admission;
pub mod batcher;
pub mod clock;
mod completion;
mod config;
mod engine;
mod intake;
mod pending;
mod request;
mod shared;
mod staging;
mod worker;

pub use config::EngineOptions;
pub use engine::Engine;
pub use pending::{Canceller, Pending};
pub use request::{Prediction, RequestOptions, Response, Task, Timing};
