//! Requests in, answers out: admission, a bounded queue, decoding, dynamic batches, workers.
//!
//! | file | job |
//! | --- | --- |
//! | `engine` | the public face; puts the parts together |
//! | `admission` | what is refused at the door |
//! | `batcher` | the state machine that decides who is decoded, who runs with whom, and when |
//! | `scheduler` | the lock around it, and the way from its actions to threads and callers |
//! | `hand_over` | what one thread hands to the next |
//! | `intake`, `worker` | what decoders and workers do |
//! | `completion`, `pending` | where an answer meets its caller |
//! | `clock`, `shutdown` | the engine's time, and the end of its threads |

mod admission;
pub mod batcher;
pub mod clock;
mod completion;
mod config;
mod describe;
mod engine;
mod hand_over;
mod intake;
mod panic;
mod pending;
mod pictures;
mod request;
mod scheduler;
mod shutdown;
mod staging;
mod worker;

pub use config::EngineOptions;
pub use engine::{Engine, Surroundings};
pub use pending::{Canceller, Pending};
pub use request::{Prediction, RequestOptions, Response, Task, Timing};
