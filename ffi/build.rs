//! Gives the shared library a soname that follows the ABI's major number; cargo sets none.

use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=src/abi.rs");
    let major = abi_major();
    match env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux" | "android" | "freebsd") => {
            println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libvision.so.{major}");
        }
        Ok("macos") => {
            println!("cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libvision.{major}.dylib");
        }
        _ => {}
    }
}

/// The number in `pub const VISION_ABI_MAJOR: u32 = N;`.
fn abi_major() -> u32 {
    let source = fs::read_to_string("src/abi.rs").expect("src/abi.rs is part of this crate");
    source
        .lines()
        .find_map(|line| line.strip_prefix("pub const VISION_ABI_MAJOR: u32 = "))
        .and_then(|rest| rest.trim_end_matches(';').parse().ok())
        .expect("src/abi.rs defines VISION_ABI_MAJOR")
}
