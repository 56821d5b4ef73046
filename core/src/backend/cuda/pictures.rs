//! Memory for the pictures of one batch on both sides, and the launches that make the network's input of them.

use super::device_pool::DeviceBuffer;
use super::launch::Kernel;
use super::pinned_pool::{Direction, PinnedPool};
use super::preprocess::{Preprocessing, Upload};
use super::resident::Resident;
use super::stream::Stream;
use crate::backend::Image;
use crate::error::{Error, ErrorKind, Result};
use libvision_kernels::cuda::launch::Launch;

/// What a context has for pictures. Nothing queued may use it when it is dropped.
pub(super) struct Pictures {
    host: PinnedPool,
    device: DeviceBuffer,
    kernel: Kernel,
    /// One for each size of batches.
    launches: Vec<Launch>,
    /// Bytes of the upload that is under way.
    bytes: usize,
    /// Images of it that came as tensors.
    tensors: Vec<usize>,
}

impl Pictures {
    /// For batches of these sizes, ascending, whose input the network reads at `input`.
    pub(super) fn new(
        preprocessing: &Preprocessing,
        sizes: &[usize],
        resident: &Resident,
        input: u64,
    ) -> Result<Self> {
        let images = *sizes.last().unwrap_or(&1);
        let bytes = preprocessing.bytes(images);
        let what = format!("the pictures of an execution context for {images} images");
        let device = DeviceBuffer::new(&resident.device, bytes, &what)?;
        let addresses = [device.address(), resident.weights.address(), input];
        let launches = sizes.iter().map(|size| preprocessing.launch(*size, addresses));
        Ok(Self {
            host: PinnedPool::new(&resident.device, Direction::Upload, &[bytes])?,
            kernel: resident.modules.kernel(preprocessing.algorithm())?,
            launches: launches.collect::<Result<_>>()?,
            device,
            bytes: 0,
            tensors: Vec::with_capacity(images),
        })
    }

    /// Puts the upload for a batch of `size` images together. Images that are tensors go to `pack`.
    ///
    /// # Safety
    /// Every copy of an earlier upload has been waited for.
    pub(super) unsafe fn fill(
        &mut self,
        size: usize,
        images: &mut dyn Iterator<Item = Image<'_>>,
        mut pack: impl FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<()> {
        self.tensors.clear();
        // SAFETY: the caller's promise.
        let mut upload = Upload::new(unsafe { self.host.write(0) }, self.device.address(), size);
        for (index, image) in images.enumerate() {
            if index == size {
                let message = format!("expected at most {size} images, found more");
                return Err(Error::new(ErrorKind::InvalidArgument, message));
            }
            match image {
                Image::Picture(slot) => upload.add(index, slot)?,
                Image::Tensor(values) => {
                    pack(index, values)?;
                    self.tensors.push(index);
                }
            }
        }
        self.bytes = upload.bytes();
        Ok(())
    }

    /// Queues the upload, and the kernel that makes the input for size number `bucket` of it.
    ///
    /// # Safety
    /// The input has room for that size. Until the stream has been waited for, nobody fills this again or drops it.
    pub(super) unsafe fn queue(&self, stream: &Stream, bucket: usize) -> Result<()> {
        // SAFETY: both sides have room for the largest upload.
        unsafe { stream.upload(self.device.address(), (&self.host, 0), 0..self.bytes) }?;
        // SAFETY: the launch reads what was just uploaded and the table of numbers among the weights, and writes
        // the input.
        unsafe { stream.launch(&self.kernel, &self.launches[bucket]) }
    }

    /// Images of the upload that came as tensors, ascending.
    pub(super) fn tensors(&self) -> &[usize] {
        &self.tensors
    }
}
