//! Where the pixels of a batch are in memory.

use super::tile::MAX_ROWS;

/// Offsets of the pixels of one image, and the distance to the next image.
pub(crate) struct PixelTable {
    offsets: Vec<usize>,
    image: usize,
}

/// A pixel of a batch: which image, and its number there.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) image: usize,
    pub(crate) pixel: usize,
}

impl Place {
    /// The place `count` pixels on, for images of `pixels` pixels.
    pub(crate) fn advance(&mut self, count: usize, pixels: usize) {
        self.pixel += count;
        while self.pixel >= pixels {
            self.pixel -= pixels;
            self.image += 1;
        }
    }
}

impl PixelTable {
    /// `offsets` holds at least one pixel; `image` is the distance between two images.
    pub(crate) fn new(offsets: Vec<usize>, image: usize) -> Self {
        Self { offsets, image }
    }

    /// Pixels of one image.
    pub(crate) fn pixels(&self) -> usize {
        self.offsets.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.offsets.as_slice())
    }

    /// The offset to start from and the offsets beyond it of `rows` pixels from `place` on. A run that
    /// crosses into further images is put together in `scratch`.
    pub(crate) fn run<'a>(
        &'a self,
        place: Place,
        rows: usize,
        scratch: &'a mut [usize; MAX_ROWS],
    ) -> (usize, &'a [usize]) {
        let base = place.image * self.image;
        if let Some(run) = self.offsets.get(place.pixel..place.pixel + rows) {
            return (base, run);
        }
        let mut at = Place { image: 0, pixel: place.pixel };
        for offset in &mut scratch[..rows] {
            *offset = at.image * self.image + self.offsets[at.pixel];
            at.advance(1, self.offsets.len());
        }
        (base, &scratch[..rows])
    }
}
