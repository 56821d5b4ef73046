//! Every case in the emulator, and what only an emulator can count.

use anyhow::{Context, Result, anyhow};
use libvision_cuda_emulator::Emulator;
use libvision_kernel_suite::cases::CASES;
use libvision_kernel_suite::conv::{Layer, geometry};
use libvision_kernels::cuda::element::Element;
use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::Window;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn every_case_passes() -> Result<()> {
    let next = AtomicUsize::new(0);
    let worker = || -> Result<()> {
        while let Some(case) = CASES.get(next.fetch_add(1, Ordering::Relaxed)) {
            (case.run)(Emulator::shared()).with_context(|| format!("{}: {}", case.group, case.name))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(worker);
        worker()?;
        other.join().map_err(|_| anyhow!("a testing thread panicked"))?
    })
}

/// Rows of the slabs fall on different banks, or ldmatrix would take several passes.
#[test]
fn matrices_load_without_bank_conflicts() -> Result<()> {
    let g = geometry(64, 128, 1, Window::square(3, 1, 1), [16, 16]);
    let (_, counts) = Layer::exact(g, 1, Activation::Relu, false).run(Emulator::shared(), Element::F16, 6)?;
    assert!(counts.matrix_products > 0);
    assert_eq!(counts.bank_conflicts, 0);
    Ok(())
}
