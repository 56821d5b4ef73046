//! The preprocessing kernel against the CPU's: the same bytes, for any geometry and every filter.

use crate::numbers::Random;
use crate::picture::{Picture, expected, preprocess, random_picture};
use anyhow::{Result, ensure};
use libvision_cuda_emulator::Device;
use libvision_kernels::cuda::element::Element;
use libvision_kernels::cuda::resize::{Placement, Resize};
use libvision_kernels::reference::normalize::Planes;
use libvision_kernels::reference::resize::Filter;

pub(super) fn equals_the_cpu_on_540_geometries(device: &dyn Device) -> Result<()> {
    let mut random = Random(1);
    for round in 0..18 {
        for filter in Filter::ALL {
            let element = Element::ALL[round % 3];
            let planes = [Planes::Hwc, Planes::Chw][round / 3 % 2];
            let output = [random.between(1, 50), random.between(1, 50)];
            let resize = Resize { output, element, planes, stored_channels: [3, 4, 8][round / 6] };
            let pictures =
                (0..5).map(|_| random_picture(&mut random, filter, output)).collect::<Result<Vec<_>>>()?;
            let found = preprocess(device, &resize, &pictures, round as u64)?;
            let bytes = resize.output_len() * element.bytes();
            for (picture, found) in pictures.iter().zip(found.chunks_exact(bytes)) {
                let found = element.unpack(found);
                let expected = expected(picture, &resize);
                let same = found.iter().zip(&expected).position(|(a, b)| a.to_bits() != b.to_bits());
                ensure!(
                    same.is_none(),
                    "{resize:?} {:?} {:?}: differs at {same:?}",
                    picture.geometry,
                    picture.placement
                );
            }
        }
    }
    Ok(())
}

/// Pillow's second order of the passes, and a picture much larger than a block's share of shared memory.
pub(super) fn tall_and_large_pictures(device: &dyn Device) -> Result<()> {
    let mut random = Random(2);
    let resize = Resize { output: [8, 24], element: Element::F32, planes: Planes::Hwc, stored_channels: 4 };
    for input in [[900, 24], [1200, 30], [3, 2000], [700, 600]] {
        let geometry =
            libvision_kernels::reference::resize::ResizeGeometry::new(Filter::Lanczos, input, [8, 24])?;
        let pixels = (0..input[0] * input[1] * 3).map(|_| random.bits() as u8).collect();
        let picture = Picture { geometry, placement: Placement::whole(&geometry), pixels };
        let expected = expected(&picture, &resize);
        let found = preprocess(device, &resize, std::slice::from_ref(&picture), 3)?;
        ensure!(Element::F32.unpack(&found) == expected, "{input:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;
    use libvision_kernels::cuda::resize::PictureTables;

    #[test]
    fn what_cannot_be_is_refused() {
        let resize = Resize {
            output: [1 << 16, 1 << 16],
            element: Element::F16,
            planes: Planes::Hwc,
            stored_channels: 4,
        };
        assert!(resize.launch(1, 0, 0, 0).is_err());
        let resize = Resize { output: [4, 4], ..resize };
        assert!(resize.launch(0, 0, 0, 0).is_err());
        let placement = Placement { at: [0; 2], canvas_at: [0; 2], canvas: [4; 2], fill: [1, 2, 3] };
        let tables = PictureTables::new(None, &placement).context("a canvas alone");
        assert!(tables.is_ok_and(|tables| tables.bytes().is_empty()));
    }
}
