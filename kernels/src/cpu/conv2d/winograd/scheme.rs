//! Winograd's minimal filtering for 3x3 windows: which forms there are, what they cost, which one to take.
//!
//! F(m, r) computes m outputs of an r-tap filter with m + r - 1 multiplications (S. Winograd, Arithmetic
//! Complexity of Computations, 1980; for convolutional networks: A. Lavin and S. Gray, Fast Algorithms for
//! Convolutional Neural Networks, 2016). With stride 2 the filter splits into one on the samples of its
//! outer taps and one on those of its middle tap; both go through F(4, 2), and their products are summed
//! before the output transform.

use crate::geometry::{Conv2dGeometry, Padding};

/// A one-dimensional transform of the samples that some taps of the filter meet.
pub(super) struct Line {
    /// The first sample, counted from the window's start.
    pub(super) first_sample: usize,
    /// Products per tile.
    pub(super) points: usize,
}

/// When weights are transformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WeightTransform {
    /// Once, when the layer is loaded.
    AtLoad,
    /// For every block of tiles: only the taps come from memory, a fraction of the bytes.
    AtUse,
}

/// A form of Winograd convolution. It is applied along both axes.
pub(crate) struct Scheme {
    /// The name of the algorithm.
    pub(super) name: &'static str,
    /// Rows and columns of an output tile.
    pub(super) tile: usize,
    pub(super) stride: usize,
    /// Rows and columns of the filter.
    pub(super) taps: usize,
    pub(super) lines: &'static [Line],
    pub(super) weights: WeightTransform,
    /// What the transforms of a tile cost, per channel, in multiply-adds.
    input_cost: usize,
    output_cost: usize,
}

/// F(2x2, 3x3): points 0, 1, -1, infinity.
pub(crate) static F2: Scheme = Scheme {
    name: "winograd f2x2",
    tile: 2,
    stride: 1,
    taps: 3,
    lines: &[Line { first_sample: 0, points: 4 }],
    weights: WeightTransform::AtLoad,
    input_cost: 65,
    output_cost: 40,
};

/// F(4x4, 3x3): points 0, 1, -1, 2, -2, infinity.
pub(crate) static F4: Scheme = Scheme {
    name: "winograd f4x4",
    tile: 4,
    stride: 1,
    taps: 3,
    lines: &[Line { first_sample: 0, points: 6 }],
    weights: WeightTransform::AtLoad,
    input_cost: 200,
    output_cost: 150,
};

/// F(4x4, 3x3) with stride 2: points 0, 1, -1, 2 and, for the outer taps, infinity.
pub(crate) static F4_STRIDE_2: Scheme = Scheme {
    name: "winograd f4x4 stride 2",
    tile: 4,
    stride: 2,
    taps: 3,
    lines: &[Line { first_sample: 0, points: 5 }, Line { first_sample: 1, points: 4 }],
    weights: WeightTransform::AtLoad,
    input_cost: 400,
    output_cost: 120,
};

/// F(4x4, 4x4): points 0, 1, -1, 2, -2, infinity, 1/2.
pub(crate) static F4_TAPS_4: Scheme = Scheme {
    name: "winograd f4x4 folded",
    tile: 4,
    stride: 1,
    taps: 4,
    lines: &[Line { first_sample: 0, points: 7 }],
    weights: WeightTransform::AtLoad,
    input_cost: 280,
    output_cost: 250,
};

/// F(4x4, 3x3), its weights transformed at use.
pub(crate) static F4_AT_USE: Scheme = Scheme {
    name: "winograd f4x4 at use",
    tile: 4,
    stride: 1,
    taps: 3,
    lines: &[Line { first_sample: 0, points: 6 }],
    weights: WeightTransform::AtUse,
    input_cost: 230,
    output_cost: 150,
};

/// F(5x5, 3x3): points 0, 1, -1, 2, -2, infinity, 1/2. Transformed, its weights would be five times as many.
pub(crate) static F5: Scheme = Scheme {
    name: "winograd f5x5",
    tile: 5,
    stride: 1,
    taps: 3,
    lines: &[Line { first_sample: 0, points: 7 }],
    weights: WeightTransform::AtUse,
    input_cost: 320,
    output_cost: 280,
};

/// Multiply-adds in whose time one weight comes from memory, which threads share. It also weighs what weights take to load.
const WEIGHT_COST: usize = 16;
/// Multiply-adds in whose time a weight is transformed for one point at use.
const TRANSFORM_COST: usize = 5;
/// Tiles that are transformed, multiplied and transformed back together, at most.
pub(super) const MAX_TILES: usize = 48;
/// The same where weights are transformed at use: the second-level cache holds their points too.
const MAX_TILES_AT_USE: usize = 16;
/// Fewer pixels or tiles than this take as long to multiply.
const LEAST_ROWS: usize = 4;

impl Scheme {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Points along one axis: those of the first line, which has the most.
    pub(super) fn points(&self) -> usize {
        self.lines[0].points
    }

    /// Products per tile, input channel and output channel.
    pub(super) fn products(&self) -> usize {
        self.lines.iter().map(|line| line.points).sum::<usize>().pow(2)
    }

    /// Tiles of the largest block.
    pub(super) fn most_tiles(&self) -> usize {
        match self.weights {
            WeightTransform::AtLoad => MAX_TILES,
            WeightTransform::AtUse => MAX_TILES_AT_USE,
        }
    }

    /// Tiles of an output, down and across.
    pub(super) fn tiles(&self, g: &Conv2dGeometry) -> [usize; 2] {
        g.output.map(|size| size.div_ceil(self.tile))
    }

    /// The border that the input needs: the last tiles may reach farther than the last windows.
    pub(crate) fn border(&self, g: &Conv2dGeometry) -> Padding {
        let (top, left) = (g.window.padding.top, g.window.padding.left);
        let [rows, columns] = self.tiles(g).map(|tiles| (tiles * self.tile - 1) * self.stride + self.taps);
        Padding {
            top,
            left,
            bottom: rows.saturating_sub(top + g.input[0]),
            right: columns.saturating_sub(left + g.input[1]),
        }
    }

    /// Time for one image, in multiply-adds.
    pub(crate) fn cost(&self, g: &Conv2dGeometry) -> usize {
        let tiles: usize = self.tiles(g).iter().product();
        let products = self.products() * tiles.max(LEAST_ROWS);
        let weight = match self.weights {
            WeightTransform::AtLoad => self.products() * WEIGHT_COST,
            WeightTransform::AtUse => {
                let times = tiles.div_ceil(self.most_tiles());
                self.taps * self.taps * WEIGHT_COST + self.products() * TRANSFORM_COST * times
            }
        };
        let transforms = tiles * (g.in_channels * self.input_cost + g.out_channels * self.output_cost);
        (products + weight) * g.in_channels * g.out_channels + transforms
    }
}

/// Time of direct convolution for one image, in multiply-adds.
pub(crate) fn direct_cost(g: &Conv2dGeometry) -> usize {
    let pixels: usize = g.output.iter().product();
    let weights: usize = g.weight_shape().iter().product();
    weights * (pixels.max(LEAST_ROWS) + WEIGHT_COST)
}

/// The schemes that can compute this geometry.
pub(crate) fn suitable(g: &Conv2dGeometry) -> impl Iterator<Item = &'static Scheme> {
    let window = g.window;
    let is_suitable = window.size == [3, 3] && window.dilation == [1, 1] && g.groups == 1;
    let schemes = [&F2, &F4, &F4_AT_USE, &F5, &F4_STRIDE_2].into_iter();
    schemes.filter(move |scheme| is_suitable && window.stride == [scheme.stride; 2])
}

/// The scheme that is faster than direct convolution for one image, if any is. Depends on nothing but the
/// geometry, so that border, plan and packing agree.
pub(crate) fn choose(g: &Conv2dGeometry) -> Option<&'static Scheme> {
    let direct = direct_cost(g);
    suitable(g)
        .map(|scheme| (scheme.cost(g), scheme))
        .min_by_key(|(cost, _)| *cost)
        .filter(|(cost, _)| *cost < direct)
        .map(|(_, scheme)| scheme)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Window;

    fn chosen(channels: usize, output: usize, stride: usize) -> &'static str {
        let window = Window::square(3, stride, 1);
        let size = output * stride;
        let g = Conv2dGeometry::new(channels, channels, 1, window, [size, size]).expect("geometry");
        choose(&g).map_or("direct", |scheme| scheme.name)
    }

    #[test]
    fn resnet_layers_take_what_was_measured_to_be_fastest() {
        assert_eq!(chosen(64, 56, 1), F4.name);
        assert_eq!(chosen(128, 28, 1), F4.name);
        assert_eq!(chosen(256, 14, 1), F5.name);
        assert_eq!(chosen(512, 7, 1), F4_AT_USE.name);
        assert_eq!(chosen(512, 6, 1), F2.name);
        assert_eq!(chosen(128, 28, 2), F4_STRIDE_2.name);
        assert_eq!(chosen(256, 14, 2), "direct");
        assert_eq!(chosen(512, 7, 2), "direct");
    }

    #[test]
    fn other_windows_are_direct() {
        for window in [
            Window::square(1, 1, 0),
            Window::square(5, 1, 2),
            Window::square(3, 3, 1),
            Window { stride: [1, 2], ..Window::square(3, 1, 1) },
            Window { dilation: [2, 2], ..Window::square(3, 1, 1) },
        ] {
            let g = Conv2dGeometry::new(64, 64, 1, window, [56, 56]).expect("geometry");
            assert!(choose(&g).is_none(), "{window:?}");
        }
        let grouped = Conv2dGeometry::new(64, 64, 2, Window::square(3, 1, 1), [56, 56]);
        assert!(choose(&grouped.expect("geometry")).is_none());
    }

    #[test]
    fn border_reaches_to_the_end_of_the_last_tile() {
        let g = Conv2dGeometry::new(8, 8, 1, Window::square(3, 1, 1), [14, 16]).expect("geometry");
        assert_eq!(F4.border(&g), Padding { top: 1, left: 1, bottom: 3, right: 1 });
        let g = Conv2dGeometry::new(8, 8, 1, Window::square(3, 2, 1), [56, 56]).expect("geometry");
        assert_eq!(F4_STRIDE_2.border(&g), Padding { top: 1, left: 1, bottom: 0, right: 0 });
    }
}
