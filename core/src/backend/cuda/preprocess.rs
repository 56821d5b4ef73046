//! Preprocessing on the device: what the host puts into a picture's slot, and the launch that makes the network's
//! input of a batch of pictures. Needs no device.

use super::form::Form;
use super::packed_weights::PackedWeights;
use crate::backend::{DevicePreprocessing, PictureLoader};
use crate::error::{Error, ErrorKind, Result};
use crate::image::Pixels;
use crate::preprocess::{BySize, Geometry, Layout, PreprocessSpec, output_size};
use libvision_kernels::cuda::arguments::PictureArguments;
use libvision_kernels::cuda::launch::Launch;
use libvision_kernels::cuda::resize::{PictureTables, Placement, Resize};
use libvision_kernels::reference::normalize::Planes;
use std::sync::Arc;

/// Bytes of the block that a slot starts with. What it points to is counted from the start of the slot.
const BLOCK: usize = size_of::<PictureArguments>();
/// Where a picture may start in a buffer: numbers in its slot lie at multiples of their size then.
const ALIGNMENT: usize = 16;

/// How pictures become the only input of a network.
pub(super) struct Preprocessing {
    pub(super) loader: Arc<CudaPictureLoader>,
    resize: Resize,
    /// Where the table of numbers lies among the weights.
    numbers: u64,
}

impl Preprocessing {
    /// For an input of this form; `None` if pictures do not become that, which the CPU's preprocessing says better.
    pub(super) fn new(
        wanted: &DevicePreprocessing,
        input: Form,
        weights: &mut PackedWeights,
    ) -> Option<Self> {
        let output = output_size(&wanted.spec).ok()?;
        let is_image = wanted.spec.layout == Layout::Nchw
            && input.channels == 3
            && output[0].checked_mul(output[1]) == Some(input.pixels);
        is_image.then(|| Self {
            loader: Arc::new(CudaPictureLoader {
                spec: wanted.spec.clone(),
                slot_bytes: wanted.slot_bytes.next_multiple_of(ALIGNMENT),
                tables: BySize::default(),
            }),
            numbers: weights.add([Resize::numbers(&wanted.spec.normalization()), Vec::new()]).weights,
            resize: Resize {
                output,
                element: input.element,
                planes: Planes::Hwc,
                stored_channels: input.stored,
            },
        })
    }

    /// Most bytes of an upload for `images` pictures.
    pub(super) fn bytes(&self, images: usize) -> usize {
        images.saturating_mul(BLOCK + self.loader.slot_bytes)
    }

    /// The launch that makes the input of `images` pictures, given the addresses of their upload, of the weights
    /// and of the input.
    pub(super) fn launch(&self, images: usize, [pictures, weights, input]: [u64; 3]) -> Result<Launch> {
        Ok(self.resize.launch(images, pictures, weights + self.numbers, input)?)
    }

    /// The kernel's name, for people.
    pub(super) fn algorithm(&self) -> &'static str {
        self.launch(1, [0; 3]).map_or("", |launch| launch.entry_point)
    }
}

/// An upload that is being put together: the blocks of all images, then what each of them points to.
pub(super) struct Upload<'u> {
    buffer: &'u mut [u8],
    /// Where the device will have it.
    address: u64,
    end: usize,
}

impl<'u> Upload<'u> {
    /// For `images` images, each black until [`Upload::add`] says otherwise.
    pub(super) fn new(buffer: &'u mut [u8], address: u64, images: usize) -> Self {
        buffer[..images * BLOCK].fill(0);
        Self { buffer, address, end: (images * BLOCK).next_multiple_of(ALIGNMENT) }
    }

    /// Image number `image` is what a loader wrote to a slot.
    pub(super) fn add(&mut self, image: usize, slot: &[u8]) -> Result<()> {
        let not_loaded = || Error::new(ErrorKind::Internal, "a picture is not what its loader wrote");
        let (block, content) = slot.split_at_checked(BLOCK).ok_or_else(not_loaded)?;
        let (start, end) = (self.end, self.end + content.len());
        self.buffer.get_mut(start..end).ok_or_else(not_loaded)?.copy_from_slice(content);
        let block: PictureArguments = bytemuck::pod_read_unaligned(block);
        let block = moved(block, self.address + start as u64 - BLOCK as u64);
        self.buffer[image * BLOCK..][..BLOCK].copy_from_slice(bytemuck::bytes_of(&block));
        self.end = end.next_multiple_of(ALIGNMENT);
        Ok(())
    }

    /// Its length.
    pub(super) fn bytes(&self) -> usize {
        self.end.min(self.buffer.len())
    }
}

/// The block of a picture all of which lies `by` bytes further on.
fn moved(mut block: PictureArguments, by: u64) -> PictureArguments {
    for axis in [&mut block.first, &mut block.second] {
        axis.starts += by;
        axis.weights += by;
    }
    PictureArguments { pixels: block.pixels + by, ..block }
}

/// Writes a picture's block, coefficients and pixels.
pub(super) struct CudaPictureLoader {
    spec: PreprocessSpec,
    slot_bytes: usize,
    tables: BySize<PictureTables>,
}

impl PictureLoader for CudaPictureLoader {
    fn slot_bytes(&self) -> usize {
        self.slot_bytes
    }

    fn load(&self, pixels: &Pixels, slot: &mut [u8]) -> Result<Option<usize>> {
        let size = [pixels.height, pixels.width];
        if pixels.data.is_empty() || pixels.data.len() != size[0] * size[1] * 3 {
            return Ok(None);
        }
        let room = slot.len().min(self.slot_bytes).checked_sub(BLOCK + pixels.data.len());
        let Some(room) = room else { return Ok(None) };
        let tables = self.tables.get(size, || {
            let tables = self.tables_for(size)?;
            Ok((tables.bytes().len() <= room).then_some(tables))
        })?;
        let Some(tables) = tables.filter(|tables| tables.bytes().len() <= room) else { return Ok(None) };
        let pixels_at = BLOCK + tables.bytes().len();
        let end = pixels_at + pixels.data.len();
        slot[..BLOCK].copy_from_slice(bytemuck::bytes_of(&tables.arguments(pixels_at as u64, BLOCK as u64)));
        slot[BLOCK..pixels_at].copy_from_slice(tables.bytes());
        slot[pixels_at..end].copy_from_slice(&pixels.data);
        Ok(Some(end))
    }
}

impl CudaPictureLoader {
    fn tables_for(&self, [height, width]: [usize; 2]) -> Result<PictureTables> {
        let geometry = Geometry::new(&self.spec, height, width);
        let (rows, columns) = (geometry.rows, geometry.columns);
        let placement = Placement {
            at: [rows.picture().at, columns.picture().at],
            canvas_at: [rows.canvas().at, columns.canvas().at],
            canvas: [rows.canvas().count, columns.canvas().count],
            fill: geometry.fill,
        };
        let resize = geometry.resize(&self.spec, [height, width])?;
        PictureTables::new(resize.as_ref(), &placement)
            .map_err(|error| Error::new(ErrorKind::InvalidArgument, format!("preprocessing: {error}")))
    }
}
