//! Preprocessing on the CPU: resize and crop in one step, then normalise into the caller's slot.

use super::by_size::BySize;
use super::geometry::{AxisGeometry, Geometry, output_size};
use super::spec::{Layout, PreprocessSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::image::Pixels;
use libvision_kernels::cpu::normalize::{NormalizeTable, Planes};
use libvision_kernels::cpu::resize::{self, ResizePlan};
use parking_lot::Mutex;

/// Scratch memory larger than this is given back instead of kept.
const KEPT_SCRATCH_BYTES: usize = 16 << 20;

/// Carries out a [`PreprocessSpec`]. Shared by any number of threads.
pub struct CpuPreprocessor {
    spec: PreprocessSpec,
    output: [usize; 2],
    table: NormalizeTable,
    plans: BySize<ResizePlan>,
    scratch: Mutex<Vec<Scratch>>,
}

/// Memory of one call, used again by later ones.
#[derive(Default)]
struct Scratch {
    result: Vec<u8>,
    resize: Vec<u8>,
}

impl CpuPreprocessor {
    /// Checks the spec and makes it ready. Fails with `INVALID_ARGUMENT` if the spec leaves the size of the
    /// result open or asks for one that cannot be.
    pub fn new(spec: &PreprocessSpec) -> Result<Self> {
        let output = output_size(spec)?;
        let usable = |value: &f32| value.is_finite() && *value != 0.0;
        if !usable(&spec.scale)
            || !spec.std.iter().all(usable)
            || !spec.mean.iter().all(|mean| mean.is_finite())
        {
            let message = format!(
                "preprocessing: scale {}, mean {:?} and std {:?} must be finite, scale and std not zero",
                spec.scale, spec.mean, spec.std
            );
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        Ok(Self {
            spec: spec.clone(),
            output,
            table: NormalizeTable::new(&spec.normalization()),
            plans: BySize::default(),
            scratch: Mutex::default(),
        })
    }

    /// What it carries out.
    pub fn spec(&self) -> &PreprocessSpec {
        &self.spec
    }

    /// Axes of one picture's part of the input tensor, without the batch.
    pub fn output_shape(&self) -> [usize; 3] {
        let [height, width] = self.output;
        match self.spec.layout {
            Layout::Nchw => [3, height, width],
            Layout::Nhwc => [height, width, 3],
        }
    }

    /// Numbers in one picture's part of the input tensor.
    pub fn output_len(&self) -> usize {
        self.output[0] * self.output[1] * 3
    }

    /// Most bytes of memory that a call with a picture of this size takes besides picture and slot.
    pub fn scratch_bytes(&self, width: usize, height: usize) -> usize {
        if width == 0 || height == 0 {
            return 0;
        }
        let geometry = Geometry::new(&self.spec, height, width);
        let resize = geometry.resize(&self.spec, [height, width]);
        let between_passes = resize.ok().flatten().map_or(0, |resize| resize.scratch_bound());
        self.output_len() + between_passes
    }

    /// Preprocesses one picture into its slot of the input tensor, which has [`CpuPreprocessor::output_len`]
    /// numbers. Only what the crop shows is computed: memory is bounded by [`CpuPreprocessor::scratch_bytes`]
    /// whatever the aspect ratio.
    pub fn run(&self, pixels: &Pixels, slot: &mut [f32]) -> Result<()> {
        check_length("slot", slot.len(), self.output_len())?;
        let mut scratch = self.scratch.lock().pop().unwrap_or_default();
        scratch.result.resize(self.output_len(), 0);
        let done = self.run_to_bytes_with(pixels, &mut scratch.result, &mut scratch.resize);
        if done.is_ok() {
            let planes = match self.spec.layout {
                Layout::Nchw => Planes::Chw,
                Layout::Nhwc => Planes::Hwc,
            };
            self.table.run(planes, &scratch.result, slot);
        }
        if scratch.result.capacity() + scratch.resize.capacity() <= KEPT_SCRATCH_BYTES {
            self.scratch.lock().push(scratch);
        }
        done
    }

    /// The bytes before normalisation: height x width x 3, interleaved RGB.
    pub fn run_to_bytes(&self, pixels: &Pixels, output: &mut [u8]) -> Result<()> {
        check_length("output", output.len(), self.output_len())?;
        self.run_to_bytes_with(pixels, output, &mut Vec::new())
    }

    fn run_to_bytes_with(&self, pixels: &Pixels, output: &mut [u8], scratch: &mut Vec<u8>) -> Result<()> {
        let (width, height) = (pixels.width, pixels.height);
        let expected = width.checked_mul(height).and_then(|n| n.checked_mul(3)).filter(|&bytes| bytes > 0);
        let expected = expected.ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, format!("picture of {width} x {height}: it has no pixels"))
        })?;
        check_length("picture", pixels.data.len(), expected)?;
        let geometry = Geometry::new(&self.spec, height, width);
        let stride = self.output[1] * 3;
        paint_borders(&geometry, output, stride);
        let size = [height, width];
        let plan = self.plans.get(size, || {
            let resize = geometry.resize(&self.spec, size)?;
            Ok(resize.map(|resize| ResizePlan::new(&resize)))
        })?;
        let Some(plan) = plan else { return Ok(()) };
        let (rows, columns) = (geometry.rows.picture(), geometry.columns.picture());
        let target = &mut output[rows.at * stride + columns.at * 3..];
        plan.run(resize::selected(), &pixels.data, target, stride, scratch);
        Ok(())
    }
}

/// Fills the result where it does not show the picture.
fn paint_borders(geometry: &Geometry, output: &mut [u8], stride: usize) {
    let all_shown = |axis: &AxisGeometry| axis.picture().count == axis.output;
    if all_shown(&geometry.rows) && all_shown(&geometry.columns) {
        return;
    }
    output.fill(0);
    if geometry.fill == [0; 3] {
        return;
    }
    let (rows, columns) = (geometry.rows.canvas(), geometry.columns.canvas());
    for row in output.chunks_exact_mut(stride).skip(rows.at).take(rows.count) {
        row[columns.at * 3..][..columns.count * 3].as_chunks_mut::<3>().0.fill(geometry.fill);
    }
}

fn check_length(what: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    let message = format!("preprocessing: the {what} has {found} elements, expected {expected}");
    Err(Error::new(ErrorKind::InvalidArgument, message))
}
