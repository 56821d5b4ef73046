//! The CPU as a backend.

use super::executable::CpuExecutable;
use crate::backend::{Availability, Backend, CompileOptions, Executable, Forecast};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::Graph;
use libvision_kernels::cpu::select::{SelectError, select};
use libvision_kernels::cpu::variants::KernelSet;
use std::sync::Arc;

/// Runs graphs on this CPU with one set of kernels.
pub struct CpuBackend {
    kernels: std::result::Result<&'static KernelSet, SelectError>,
}

impl CpuBackend {
    /// With the best kernels of this CPU, or those that `LIBVISION_CPU_ISA` names.
    pub fn new() -> Self {
        Self { kernels: select() }
    }

    /// With these kernels.
    pub fn with_kernels(kernels: &'static KernelSet) -> Self {
        Self { kernels: Ok(kernels) }
    }

    /// The word for the kernels. Fails as compiling does if the environment asks for what this CPU lacks.
    pub(crate) fn isa(&self) -> Result<&'static str> {
        Ok(self.kernels()?.isa.name())
    }

    fn kernels(&self) -> Result<&'static KernelSet> {
        self.kernels.clone().map_err(|error| Error::new(ErrorKind::InvalidArgument, error.to_string()))
    }
}

impl Default for CpuBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl Backend for CpuBackend {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn probe(&self) -> Availability {
        match self.kernels() {
            Ok(set) => {
                Availability::Available(format!("{} kernels, vectors of {} floats", set.isa, set.lanes))
            }
            Err(error) => Availability::Unavailable(error),
        }
    }

    fn compile(&self, graph: &Graph, options: &CompileOptions) -> Result<Arc<dyn Executable>> {
        Ok(Arc::new(CpuExecutable::new(graph, options, self.kernels()?)?))
    }

    fn forecast(&self, graph: &Graph, options: &CompileOptions) -> Result<Forecast> {
        CpuExecutable::forecast(graph, options, self.kernels()?)
    }
}
