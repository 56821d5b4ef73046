//! The compiled kernels, compressed, and which of them a device gets.

use super::prebuilt::IMAGES;

/// What an image holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Code for one family of devices.
    Cubin,
    /// Text that the driver compiles.
    Ptx,
}

/// One module for one target.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    /// Name of the module.
    pub module: &'static str,
    /// Compute capability, as in 80 for 8.0.
    pub capability: u32,
    /// Code or text.
    pub kind: Kind,
    /// Length after decompression.
    pub bytes: usize,
    /// Of the decompressed image, in lower-case hexadecimal.
    pub sha256: &'static str,
    /// A Zstandard frame.
    pub compressed: &'static [u8],
}

/// The image of `module` for a device of compute capability `major.minor`: code for the same major version and
/// at most the same minor one, the newest first; or text for the device's generation or an older one.
pub fn image_for(module: &str, major: u32, minor: u32) -> Option<&'static Image> {
    let device = major * 10 + minor;
    let fits = |image: &&Image| match image.kind {
        Kind::Cubin => image.capability / 10 == major && image.capability <= device,
        Kind::Ptx => image.capability <= device,
    };
    let rank = |image: &&Image| (image.kind == Kind::Cubin, image.capability);
    IMAGES.iter().filter(|image| image.module == module).filter(fits).max_by_key(rank)
}

#[cfg(test)]
mod tests {
    use super::{Kind, image_for};
    use crate::cuda::modules::MODULES;

    #[test]
    fn every_device_gets_the_nearest_image() {
        for (major, minor, capability, kind) in [
            (7, 5, 75, Kind::Cubin),
            (8, 0, 80, Kind::Cubin),
            (8, 9, 80, Kind::Cubin),
            (9, 0, 90, Kind::Cubin),
            (10, 0, 100, Kind::Cubin),
            (10, 3, 100, Kind::Cubin),
            (11, 0, 80, Kind::Ptx),
            (12, 1, 120, Kind::Cubin),
            (13, 0, 80, Kind::Ptx),
        ] {
            for module in MODULES {
                let image = image_for(module.name, major, minor);
                let found = image.map(|image| (image.capability, image.kind));
                assert_eq!(found, Some((capability, kind)), "{} for {major}.{minor}", module.name);
            }
        }
        assert!(image_for("conv2d", 7, 0).is_none());
        assert!(image_for("no such module", 8, 0).is_none());
    }
}
