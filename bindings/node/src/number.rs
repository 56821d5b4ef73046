//! JavaScript's numbers to the core's, with errors that name the argument.

use libvision::{Error, ErrorKind, Result};
use std::time::Duration;

/// The largest number below which all whole numbers are exact.
const MOST: f64 = 9_007_199_254_740_991.0;

/// An `INVALID_ARGUMENT` error.
pub(crate) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

/// A whole number that is not negative.
pub(crate) fn whole_number(name: &str, value: f64) -> Result<usize> {
    whole(name, value, u32::MAX.into()).map(|number| number as usize)
}

/// The same for a number of bytes, which may be larger.
pub(crate) fn bytes(name: &str, value: f64) -> Result<u64> {
    whole(name, value, MOST)
}

fn whole(name: &str, value: f64, most: f64) -> Result<u64> {
    if value.fract() != 0.0 || !(0.0..=most).contains(&value) {
        return Err(invalid(format!("{name} must be a whole number that is not negative, found {value}")));
    }
    Ok(value as u64)
}

/// A time in milliseconds that is not negative.
pub(crate) fn milliseconds(name: &str, value: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(value / 1e3).map_err(|_| {
        invalid(format!("{name} must be a time in milliseconds that is not negative, found {value}"))
    })
}
