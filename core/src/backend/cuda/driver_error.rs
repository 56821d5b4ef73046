//! What the driver's error codes mean for a caller.

use crate::error::{Error, ErrorKind};
use cudarc::driver::DriverError;
use cudarc::driver::sys::CUresult;

/// An error of the driver as one of ours; `what` was being done, as in `waiting for the stream`.
pub(super) fn failed(what: impl std::fmt::Display, error: DriverError) -> Error {
    let code = error.0;
    Error::new(kind_of(code), format!("CUDA: {what} failed with {code:?} ({})", code as u32))
}

/// Whether nothing in the context works any more after this code.
pub(super) fn is_sticky(code: CUresult) -> bool {
    kind_of(code) == ErrorKind::DeviceLost
}

fn kind_of(code: CUresult) -> ErrorKind {
    use CUresult::*;
    match code {
        CUDA_ERROR_OUT_OF_MEMORY => ErrorKind::OutOfMemory,
        CUDA_ERROR_NOT_INITIALIZED
        | CUDA_ERROR_STUB_LIBRARY
        | CUDA_ERROR_NO_DEVICE
        | CUDA_ERROR_INVALID_DEVICE
        | CUDA_ERROR_DEVICE_UNAVAILABLE
        | CUDA_ERROR_DEVICE_NOT_LICENSED
        | CUDA_ERROR_NO_BINARY_FOR_GPU
        | CUDA_ERROR_INVALID_IMAGE
        | CUDA_ERROR_INVALID_PTX
        | CUDA_ERROR_UNSUPPORTED_PTX_VERSION
        | CUDA_ERROR_JIT_COMPILER_NOT_FOUND
        | CUDA_ERROR_JIT_COMPILATION_DISABLED
        | CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
        | CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE
        | CUDA_ERROR_SYSTEM_NOT_READY => ErrorKind::DeviceUnavailable,
        CUDA_ERROR_DEINITIALIZED
        | CUDA_ERROR_INVALID_CONTEXT
        | CUDA_ERROR_ECC_UNCORRECTABLE
        | CUDA_ERROR_CONTAINED
        | CUDA_ERROR_NVLINK_UNCORRECTABLE
        | CUDA_ERROR_CONTEXT_IS_DESTROYED
        | CUDA_ERROR_ILLEGAL_ADDRESS
        | CUDA_ERROR_LAUNCH_TIMEOUT
        | CUDA_ERROR_ASSERT
        | CUDA_ERROR_HARDWARE_STACK_ERROR
        | CUDA_ERROR_ILLEGAL_INSTRUCTION
        | CUDA_ERROR_MISALIGNED_ADDRESS
        | CUDA_ERROR_INVALID_ADDRESS_SPACE
        | CUDA_ERROR_INVALID_PC
        | CUDA_ERROR_LAUNCH_FAILED
        | CUDA_ERROR_TENSOR_MEMORY_LEAK
        | CUDA_ERROR_MPS_CLIENT_TERMINATED
        | CUDA_ERROR_MPS_RPC_FAILURE
        | CUDA_ERROR_MPS_SERVER_NOT_READY
        | CUDA_ERROR_EXTERNAL_DEVICE
        | CUDA_ERROR_UNKNOWN => ErrorKind::DeviceLost,
        _ => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_says_what_to_do_next() {
        for (code, kind) in [
            (CUresult::CUDA_ERROR_OUT_OF_MEMORY, ErrorKind::OutOfMemory),
            (CUresult::CUDA_ERROR_NO_DEVICE, ErrorKind::DeviceUnavailable),
            (CUresult::CUDA_ERROR_ECC_UNCORRECTABLE, ErrorKind::DeviceLost),
            (CUresult::CUDA_ERROR_ILLEGAL_ADDRESS, ErrorKind::DeviceLost),
            (CUresult::CUDA_ERROR_LAUNCH_FAILED, ErrorKind::DeviceLost),
            (CUresult::CUDA_ERROR_INVALID_VALUE, ErrorKind::Internal),
        ] {
            let error = failed("copying", DriverError(code));
            assert_eq!((error.kind(), is_sticky(code)), (kind, kind == ErrorKind::DeviceLost), "{code:?}");
            assert!(error.message().contains("copying") && error.message().contains("CUDA_ERROR_"));
        }
    }
}
