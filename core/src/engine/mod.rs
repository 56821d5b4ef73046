//! Requests in, answers out: admission, a bounded queue, decoding, dynamic batches, workers.
//!
//! | file | job |
//! | --- | --- |
//! | `engine`, `models`, `model_id` | the public face: models by name |
//! | `lane` | one version of one model: puts the parts together |
//! | `devices`, `ledger`, `memory_plan` | what it runs on, and what memory it comes to |
//! | `golden`, `readiness` | the proof that it computes what it should |
//! | `admission` | what is refused at the door |
//! | `cost`, `tenant` | what a request takes, and whose it is |
//! | `machine` | the state machine that decides who is accepted, decoded, run with whom, and when |
//! | `scheduler` | the lock around it, and the way from its actions to threads and callers |
//! | `refusal` | its refusals as errors |
//! | `cache`, `cache_key` | results of pictures that come again |
//! | `hand_over` | what one thread hands to the next |
//! | `intake`, `worker`, `workshop` | what decoders and workers do, and where workers are made |
//! | `trace` | what the machine was told, to decide the same again |
//! | `metrics` | what is counted and measured |
//! | `trace_context`, `spans` | which distributed trace a request belongs to; what a `tracing` subscriber sees |
//! | `completion`, `pending` | where an answer meets its caller |
//! | `clock`, `shutdown` | the engine's time, and the end of its threads |

mod admission;
mod answering;
mod cache;
mod cache_key;
pub mod clock;
mod completion;
mod config;
mod cost;
mod describe;
mod devices;
mod engine;
mod golden;
mod hand_over;
mod intake;
mod lane;
mod ledger;
pub mod machine;
mod memory_plan;
mod metrics;
mod model_id;
mod models;
mod panic;
mod pending;
mod pictures;
mod pool;
mod readiness;
mod refusal;
mod request;
mod scheduler;
mod shutdown;
mod spans;
mod staging;
mod tenant;
pub mod trace;
mod trace_context;
mod worker;
mod workshop;

pub use cache::CacheCounters;
pub use config::EngineOptions;
pub use devices::Devices;
pub use engine::{Engine, Surroundings};
pub use machine::{Priority, Window as BatchWindow};
pub use memory_plan::{MemoryItem, MemoryPlan, Place};
pub use metrics::{Histogram, Histograms, Metrics};
pub use model_id::ModelId;
pub use pending::{Canceller, Pending};
pub use readiness::Readiness;
pub use request::{Prediction, RequestOptions, Response, Task, Timing};
pub use tenant::Tenant;
pub use trace_context::TraceContext;
