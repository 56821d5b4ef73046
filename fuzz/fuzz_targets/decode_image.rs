//! Any bytes as a picture: pixels that fit their size, or an error of the 2xx group.
#![no_main]

use libvision::DecodeLimits;
use libvision::image::{decode, read_header};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let limits = DecodeLimits { max_pixels: 1 << 20, max_side: 4096, ..DecodeLimits::default() };
    let header = read_header(bytes, &limits);
    match decode(bytes, &limits, bytes.len() % 2 == 0) {
        Ok(pixels) => {
            assert_eq!(pixels.data.len(), pixels.width * pixels.height * 3);
            assert!(pixels.width * pixels.height <= limits.max_pixels);
            assert!(header.is_ok(), "decoded, though the header was refused");
        }
        Err(error) => assert_eq!(error.kind().number() / 100, 2, "{error:?}"),
    }
});
