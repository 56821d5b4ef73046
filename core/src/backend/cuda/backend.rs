//! One CUDA device as a backend.

use super::executable::CudaExecutable;
use super::probe;
use crate::backend::{Availability, Backend, CompileOptions, Executable};
use crate::error::Result;
use crate::graph::Graph;
use std::sync::Arc;

/// Set to anything but 0, every tensor gets device memory of its own, so that tools such as compute-sanitizer see
/// accesses beyond a tensor's end. Takes more memory.
const SEPARATE_TENSORS: &str = "LIBVISION_CUDA_SEPARATE_TENSORS";

/// Runs graphs on device `ordinal`. Holds nothing on it by itself.
pub struct CudaBackend {
    ordinal: u32,
}

impl CudaBackend {
    /// For `cuda:ordinal`, whether it is there or not.
    pub fn new(ordinal: u32) -> Self {
        Self { ordinal }
    }
}

impl Backend for CudaBackend {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn probe(&self) -> Availability {
        match probe::device(self.ordinal) {
            Ok(facts) => Availability::Available(facts.describe()),
            Err(missing) => Availability::Unavailable(missing.into()),
        }
    }

    fn has_own_memory(&self) -> bool {
        true
    }

    fn compile(&self, graph: &Graph, options: &CompileOptions) -> Result<Arc<dyn Executable>> {
        let facts = probe::device(self.ordinal)?;
        let separate = std::env::var_os(SEPARATE_TENSORS).is_some_and(|value| value != "0");
        Ok(Arc::new(CudaExecutable::new(graph, options, &facts, separate)?))
    }
}
