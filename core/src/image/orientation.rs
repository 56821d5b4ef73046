//! EXIF orientation: reading the tag and turning the pixels.

use super::pixels::Pixels;

/// How stored rows and columns map to the upright picture (EXIF tag 0x0112).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orientation {
    /// 1: as stored.
    #[default]
    Upright,
    /// 2: mirrored left to right.
    FlipHorizontal,
    /// 3: turned by 180 degrees.
    Rotate180,
    /// 4: mirrored top to bottom.
    FlipVertical,
    /// 5: mirrored along the main diagonal.
    Transpose,
    /// 6: to be turned by 90 degrees clockwise.
    Rotate90,
    /// 7: mirrored along the other diagonal.
    Transverse,
    /// 8: to be turned by 90 degrees counter-clockwise.
    Rotate270,
}

impl Orientation {
    /// The orientation of this EXIF value, 1 to 8.
    pub const fn from_exif_value(value: u16) -> Option<Self> {
        Some(match value {
            1 => Orientation::Upright,
            2 => Orientation::FlipHorizontal,
            3 => Orientation::Rotate180,
            4 => Orientation::FlipVertical,
            5 => Orientation::Transpose,
            6 => Orientation::Rotate90,
            7 => Orientation::Transverse,
            8 => Orientation::Rotate270,
            _ => return None,
        })
    }

    /// Reads the tag from EXIF data that begins at the TIFF header, or at `Exif\0\0` before it.
    /// Data that is damaged or has no such tag is [`Orientation::Upright`].
    pub fn from_exif(exif: &[u8]) -> Self {
        let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
        orientation_tag(tiff).and_then(Self::from_exif_value).unwrap_or_default()
    }

    /// Whether width and height change places.
    pub const fn swaps_sides(self) -> bool {
        matches!(
            self,
            Orientation::Transpose | Orientation::Rotate90 | Orientation::Transverse | Orientation::Rotate270
        )
    }

    /// The upright picture. Allocates a second picture, except for [`Orientation::Upright`].
    pub fn apply(self, pixels: Pixels) -> Pixels {
        if self == Orientation::Upright {
            return pixels;
        }
        let (source_width, source_height) = (pixels.width, pixels.height);
        let (width, height) =
            if self.swaps_sides() { (source_height, source_width) } else { (source_width, source_height) };
        let mut data = Vec::with_capacity(pixels.data.len());
        for y in 0..height {
            for x in 0..width {
                let (right, bottom) = (width - 1 - x, height - 1 - y);
                let (source_x, source_y) = match self {
                    Orientation::Upright => (x, y),
                    Orientation::FlipHorizontal => (right, y),
                    Orientation::Rotate180 => (right, bottom),
                    Orientation::FlipVertical => (x, bottom),
                    Orientation::Transpose => (y, x),
                    Orientation::Rotate90 => (y, right),
                    Orientation::Transverse => (bottom, right),
                    Orientation::Rotate270 => (bottom, x),
                };
                let start = (source_y * source_width + source_x) * 3;
                data.extend_from_slice(&pixels.data[start..start + 3]);
            }
        }
        Pixels { width, height, data: data.into() }
    }
}

/// Value of tag 0x0112 in the first directory of a TIFF structure.
fn orientation_tag(tiff: &[u8]) -> Option<u16> {
    let little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let u16_at = |offset: usize| {
        let bytes: [u8; 2] = tiff.get(offset..offset.checked_add(2)?)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let u32_at = |offset: usize| {
        let bytes: [u8; 4] = tiff.get(offset..offset.checked_add(4)?)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let directory = u32_at(4)? as usize;
    let entries = usize::from(u16_at(directory)?);
    const ENTRY_BYTES: usize = 12;
    const TYPE_SHORT: u16 = 3;
    for index in 0..entries {
        let entry = directory.checked_add(2 + index * ENTRY_BYTES)?;
        if u16_at(entry)? == 0x0112 {
            return if u16_at(entry + 2)? == TYPE_SHORT { u16_at(entry + 8) } else { None };
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exif(little: bool, value: u16) -> Vec<u8> {
        let short = |v: u16| if little { v.to_le_bytes() } else { v.to_be_bytes() };
        let long = |v: u32| if little { v.to_le_bytes() } else { v.to_be_bytes() };
        let mut bytes = if little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
        bytes.extend(long(8));
        bytes.extend(short(2));
        for (tag, value) in [(0x010f, 7), (0x0112, value)] {
            bytes.extend(short(tag));
            bytes.extend(short(3));
            bytes.extend(long(1));
            bytes.extend(short(value));
            bytes.extend([0, 0]);
        }
        bytes
    }

    #[test]
    fn the_tag_is_found_in_either_byte_order() {
        for little in [false, true] {
            for value in 1..=8 {
                let bytes = exif(little, value);
                let expected = Orientation::from_exif_value(value).expect("1 to 8");
                assert_eq!(Orientation::from_exif(&bytes), expected);
                assert_eq!(Orientation::from_exif(&[b"Exif\0\0", &bytes[..]].concat()), expected);
                for cut in 0..bytes.len() {
                    Orientation::from_exif(&bytes[..cut]);
                }
            }
            assert_eq!(Orientation::from_exif(&exif(little, 9)), Orientation::Upright);
        }
    }

    #[test]
    fn turning_back_and_forth_gives_the_same_picture() {
        let (width, height) = (5, 3);
        let data: Vec<u8> = (0..width * height * 3).map(|i| i as u8).collect();
        let picture = Pixels { width, height, data: data.into() };
        for (there, back) in [
            (Orientation::FlipHorizontal, Orientation::FlipHorizontal),
            (Orientation::Rotate180, Orientation::Rotate180),
            (Orientation::FlipVertical, Orientation::FlipVertical),
            (Orientation::Transpose, Orientation::Transpose),
            (Orientation::Rotate90, Orientation::Rotate270),
            (Orientation::Transverse, Orientation::Transverse),
        ] {
            let turned = there.apply(picture.clone());
            assert!(turned != picture, "{there:?} changes the picture");
            assert!(back.apply(turned) == picture, "{there:?} and {back:?}");
        }
    }
}
