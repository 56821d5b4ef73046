//! The C ABI of libvision.
