//! The least time that a layer can take on one device, from bytes and multiplications, and what whole tiles
//! on the busiest multiprocessor make of it. No efficiency is guessed: a device only adds to this.

use libvision_kernels::cuda::conv2d::Conv2d;
use libvision_kernels::cuda::element::Element;
use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::{Conv2dGeometry, GeometryError, Window};

/// Ceilings of an H200: a measured copy and a measured bf16 product of large matrices.
const BYTES_PER_MICROSECOND: f64 = 4.3e6;
const OPERATIONS_PER_MICROSECOND: f64 = 790e6;
const MULTIPROCESSORS: f64 = 132.0;

/// A convolution of ResNet-50.
pub(crate) struct Layer {
    pub(crate) name: String,
    pub(crate) geometry: Conv2dGeometry,
    residual: bool,
}

/// Times in microseconds.
pub(crate) struct Times {
    pub(crate) kernel: &'static str,
    pub(crate) blocks: u32,
    pub(crate) memory: f64,
    pub(crate) products: f64,
    /// For the whole tiles of the busiest multiprocessor.
    pub(crate) tiles: f64,
}

impl Layer {
    /// For `images` images in half precision.
    pub(crate) fn times(&self, images: usize) -> Result<Times, GeometryError> {
        let g = &self.geometry;
        let conv = Conv2d::new(g, Element::F16, Activation::Relu, g.in_channels == 3)?;
        let launch = conv.launch(images, &Default::default())?;
        let tile = conv.kernel().tile;
        let out_pixels = g.output[0] * g.output[1];
        // A strided pointwise layer reads only the pixels that it uses.
        let in_pixels = if g.window.size == [1, 1] { out_pixels } else { g.input[0] * g.input[1] };
        let [inputs, outputs] = conv.stored_channels();
        let activations = in_pixels * inputs + out_pixels * outputs * (1 + usize::from(self.residual));
        let weights: usize = g.weight_shape().iter().product();
        let bytes = 2.0 * (images * activations + weights) as f64;
        let depth = (g.window.size[0] * g.window.size[1] * inputs).next_multiple_of(32) as f64;
        let busiest = (f64::from(launch.blocks) / MULTIPROCESSORS).ceil();
        let tile_operations = 2.0 * (tile.rows * tile.columns) as f64 * depth;
        let tiles = busiest * tile_operations * MULTIPROCESSORS / OPERATIONS_PER_MICROSECOND;
        Ok(Times {
            kernel: launch.entry_point,
            blocks: launch.blocks,
            memory: bytes / BYTES_PER_MICROSECOND,
            products: 2.0 * (images * g.multiplications()) as f64 / OPERATIONS_PER_MICROSECOND,
            tiles: tiles.max(bytes / BYTES_PER_MICROSECOND),
        })
    }
}

/// The 53 convolutions of ResNet-50 at 224 x 224, stride on the 3 x 3 layer.
pub(crate) fn resnet50() -> Result<Vec<Layer>, GeometryError> {
    let mut layers = Vec::new();
    let mut add = |name: String, inputs, outputs, window, side, residual| {
        let geometry = Conv2dGeometry::new(inputs, outputs, 1, window, [side, side])?;
        layers.push(Layer { name, geometry, residual });
        Ok::<(), GeometryError>(())
    };
    add("conv1".to_owned(), 3, 64, Window::square(7, 2, 3), 224, false)?;
    let (mut inputs, mut side) = (64, 56);
    for (stage, blocks) in [3, 4, 6, 3].into_iter().enumerate() {
        let (width, outputs) = (64 << stage, 256 << stage);
        for block in 0..blocks {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let name = |part: &str| format!("layer{}.{block}.{part}", stage + 1);
            add(name("conv1"), inputs, width, Window::square(1, 1, 0), side, false)?;
            add(name("conv2"), width, width, Window::square(3, stride, 1), side, false)?;
            if block == 0 {
                add(name("downsample"), inputs, outputs, Window::square(1, stride, 0), side, false)?;
            }
            side /= stride;
            add(name("conv3"), width, outputs, Window::square(1, 1, 0), side, true)?;
            inputs = outputs;
        }
    }
    Ok(layers)
}
