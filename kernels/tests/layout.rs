//! Conversions between plain tensors and the blocked layout.

mod support;

use libvision_kernels::cpu::layout::{BlockedShape, clear_border, from_nchw, from_nhwc, to_nchw};
use libvision_kernels::geometry::Padding;
use libvision_kernels::parallel::Serial;
use support::{Random, Threads};

fn shapes() -> impl Iterator<Item = BlockedShape> {
    let border = Padding { top: 1, left: 2, bottom: 3, right: 0 };
    [1, 3, 5, 8, 17].into_iter().flat_map(move |channels| {
        [1, 3, 4, 8, 16].into_iter().flat_map(move |lanes| {
            [Padding::default(), border]
                .map(|border| BlockedShape::new(channels, 6, 5, lanes).with_border(border))
        })
    })
}

#[test]
fn every_value_is_where_the_shape_says() {
    for shape in shapes() {
        let (channels, pixels, batch) = (shape.channels, shape.height * shape.width, 3);
        let nchw = Random::new(1).values(batch * channels * pixels, 1.0);
        let mut nhwc = vec![0.0; nchw.len()];
        for (i, value) in nchw.iter().enumerate() {
            let (n, c, pixel) = (i / (channels * pixels), i / pixels % channels, i % pixels);
            nhwc[(n * pixels + pixel) * channels + c] = *value;
        }
        for threads in [1, 3] {
            let mut tensors = [vec![7.0; batch * shape.len()], vec![7.0; batch * shape.len()]];
            from_nchw(&Threads(threads), &shape, batch, &nchw, &mut tensors[0]);
            from_nhwc(&Threads(threads), &shape, batch, &nhwc, &mut tensors[1]);
            assert_eq!(tensors[0], tensors[1], "{shape:?}");
            let tensor = &tensors[0];
            for (i, value) in nchw.iter().enumerate() {
                let (n, c, pixel) = (i / (channels * pixels), i / pixels % channels, i % pixels);
                let at = n * shape.len() + shape.element(c, pixel / shape.width, pixel % shape.width);
                assert_eq!(tensor[at], *value, "{shape:?}: image {n}, channel {c}, pixel {pixel}");
            }
            let mut back = vec![0.0; nchw.len()];
            to_nchw(&Threads(threads), &shape, batch, tensor, &mut back);
            assert_eq!(back, nchw, "{shape:?}");
        }
    }
}

#[test]
fn unused_lanes_become_zero_and_the_border_stays() {
    for shape in shapes() {
        let image = vec![1.0; shape.channels * shape.height * shape.width];
        let mut tensor = vec![7.0; shape.len()];
        from_nchw(&Serial, &shape, 1, &image, &mut tensor);
        let count = |value: f32, tensor: &[f32]| tensor.iter().filter(|x| **x == value).count();
        let inside = shape.blocks() * shape.lanes * shape.height * shape.width;
        assert_eq!(count(1.0, &tensor), image.len(), "{shape:?}");
        assert_eq!(count(0.0, &tensor), inside - image.len(), "{shape:?}");
        assert_eq!(count(7.0, &tensor), shape.len() - inside, "{shape:?}");
        clear_border(&Serial, &shape, 1, &mut tensor);
        assert_eq!(count(1.0, &tensor), image.len(), "{shape:?}");
        assert_eq!(count(0.0, &tensor), shape.len() - image.len(), "{shape:?}");
    }
}

#[test]
#[should_panic(expected = "plain tensor")]
fn a_short_source_is_refused() {
    let shape = BlockedShape::new(3, 2, 2, 8);
    from_nchw(&Serial, &shape, 1, &[0.0; 11], &mut vec![0.0; shape.len()]);
}
