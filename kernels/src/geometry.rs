//! Sizes of the kernel families, checked once so that every variant may rely on them.

use std::fmt;

/// Why a geometry cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeometryError {
    message: String,
}

impl GeometryError {
    /// An error with a sentence that names the numbers at fault.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for GeometryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for GeometryError {}

/// Zero border around an image, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Padding {
    /// The same border on all four sides.
    pub const fn uniform(size: usize) -> Self {
        Self { top: size, left: size, bottom: size, right: size }
    }
}

/// A sliding window over the two spatial axes; shared by convolution and pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Height and width.
    pub size: [usize; 2],
    /// Steps down and to the right.
    pub stride: [usize; 2],
    /// Distance between neighbouring taps.
    pub dilation: [usize; 2],
    /// Border.
    pub padding: Padding,
}

impl Window {
    /// A square window without dilation.
    pub const fn square(size: usize, stride: usize, padding: usize) -> Self {
        Self {
            size: [size, size],
            stride: [stride, stride],
            dilation: [1, 1],
            padding: Padding::uniform(padding),
        }
    }

    /// Height and width of the result for an input of `height` x `width`, or what is wrong.
    pub fn output_size(&self, height: usize, width: usize) -> Result<[usize; 2], GeometryError> {
        let p = self.padding;
        let borders = [(p.top, p.bottom), (p.left, p.right)];
        let mut output = [0; 2];
        for axis in 0..2 {
            let (size, stride, dilation) = (self.size[axis], self.stride[axis], self.dilation[axis]);
            let input = [height, width][axis];
            if size == 0 || stride == 0 || dilation == 0 {
                return Err(GeometryError::new(format!(
                    "window size {size}, stride {stride} and dilation {dilation} must all be at least 1"
                )));
            }
            let extent = (size - 1).checked_mul(dilation).and_then(|e| e.checked_add(1));
            let padded = input.checked_add(borders[axis].0).and_then(|n| n.checked_add(borders[axis].1));
            match (extent, padded) {
                (Some(extent), Some(padded)) if extent <= padded => {
                    output[axis] = (padded - extent) / stride + 1;
                }
                _ => {
                    return Err(GeometryError::new(format!(
                        "a window of {size} (dilation {dilation}) does not fit into {input} plus a border of {} and {}",
                        borders[axis].0, borders[axis].1
                    )));
                }
            }
        }
        Ok(output)
    }
}

/// A two-dimensional convolution of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2dGeometry {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Channel groups that do not see each other; 1 is an ordinary convolution.
    pub groups: usize,
    /// The filter's window.
    pub window: Window,
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Height and width of the output.
    pub output: [usize; 2],
}

impl Conv2dGeometry {
    /// Checks the sizes and computes those of the output.
    pub fn new(
        in_channels: usize,
        out_channels: usize,
        groups: usize,
        window: Window,
        input: [usize; 2],
    ) -> Result<Self, GeometryError> {
        if in_channels == 0 || out_channels == 0 || groups == 0 {
            return Err(GeometryError::new(format!(
                "{in_channels} input channels, {out_channels} output channels and {groups} groups must all be at least 1"
            )));
        }
        if !in_channels.is_multiple_of(groups) || !out_channels.is_multiple_of(groups) {
            return Err(GeometryError::new(format!(
                "{in_channels} input and {out_channels} output channels cannot be divided into {groups} groups"
            )));
        }
        let output = window.output_size(input[0], input[1])?;
        Ok(Self { in_channels, out_channels, groups, window, input, output })
    }

    /// Shape of the weights, `[out_channels, in_channels / groups, height, width]`.
    pub fn weight_shape(&self) -> [usize; 4] {
        [self.out_channels, self.in_channels / self.groups, self.window.size[0], self.window.size[1]]
    }

    /// Multiplications that direct convolution needs for one image.
    pub fn multiplications(&self) -> usize {
        self.weight_shape().iter().product::<usize>() * self.output[0] * self.output[1]
    }
}

/// A pooling window over each channel of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pool2dGeometry {
    /// Channels of input and output.
    pub channels: usize,
    /// The window.
    pub window: Window,
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Height and width of the output.
    pub output: [usize; 2],
}

impl Pool2dGeometry {
    /// Checks the sizes and computes those of the output.
    pub fn new(channels: usize, window: Window, input: [usize; 2]) -> Result<Self, GeometryError> {
        let output = window.output_size(input[0], input[1])?;
        Ok(Self { channels, window, input, output })
    }
}
