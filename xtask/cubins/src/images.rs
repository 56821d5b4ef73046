//! Makes the images that are committed, or compares with them.

use crate::Places;
use crate::gates;
use crate::nvrtc::{Compiled, Nvrtc};
use crate::sources::{self, Source, hex};
use crate::targets::{TARGETS, Target};
use anyhow::{Context, Result, anyhow, bail, ensure};
use libvision_kernels::cuda::arguments;
use libvision_kernels::cuda::modules::{MODULES, Module};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::process::Command;
use std::sync::Mutex;

/// Smallest output matters more than time here.
const COMPRESSION: i32 = 19;

/// An image as it is committed.
struct Image {
    module: &'static str,
    target: Target,
    bytes: usize,
    sha256: String,
    compressed: Vec<u8>,
}

/// Compiles everything and writes header, images and list.
pub(crate) fn make(places: &Places) -> Result<()> {
    std::fs::write(places.kernels.join("cuda/arguments.cuh"), arguments::header())?;
    let sources = sources::read(&places.kernels)?;
    let images = compile_all(places, &sources)?;
    let folder = places.kernels.join("cuda/prebuilt");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    for image in &images {
        let path = folder.join(image.target.file(image.module));
        std::fs::create_dir_all(path.parent().context("images lie in folders")?)?;
        std::fs::write(path, &image.compressed)?;
    }
    std::fs::write(places.kernels.join("src/cuda/prebuilt.rs"), list(&images, &sources))?;
    summary(&images);
    Ok(())
}

/// Compiles everything and fails if anything differs from what is committed.
pub(crate) fn check(places: &Places) -> Result<()> {
    let header = std::fs::read_to_string(places.kernels.join("cuda/arguments.cuh"))?;
    ensure!(
        header == arguments::header(),
        "cuda/arguments.cuh is stale: run `cargo xtask cubins` and commit"
    );
    let sources = sources::read(&places.kernels)?;
    let images = compile_all(places, &sources)?;
    for image in &images {
        let file = image.target.file(image.module);
        let committed =
            std::fs::read(places.kernels.join("cuda/prebuilt").join(&file)).with_context(|| file.clone())?;
        ensure!(committed == image.compressed, "{file} is stale: run `cargo xtask cubins` and commit");
    }
    let committed = std::fs::read_to_string(places.kernels.join("src/cuda/prebuilt.rs"))?;
    ensure!(
        committed == list(&images, &sources),
        "prebuilt.rs is stale: run `cargo xtask cubins` and commit"
    );
    // Built again, each image has the same bytes.
    let again = compile_all(places, &sources)?;
    let same = images.iter().zip(&again).all(|(a, b)| a.sha256 == b.sha256);
    ensure!(same, "an image differs between two runs of the compiler");
    summary(&images);
    Ok(())
}

/// Compiles every module for every target on as many threads as there are cores.
fn compile_all(places: &Places, sources: &[Source]) -> Result<Vec<Image>> {
    let nvrtc = Nvrtc::load(&places.toolchain)?;
    let work: Vec<(&Module, Target)> =
        MODULES.iter().flat_map(|module| TARGETS.iter().map(move |target| (module, *target))).collect();
    let (next, done) = (Mutex::new(0..work.len()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let worker = || -> Result<()> {
            loop {
                let taken = next.lock().map_err(|_| anyhow!("a compiling thread panicked"))?.next();
                let Some(index) = taken else { return Ok(()) };
                let (module, target) = work[index];
                let compiled = nvrtc.compile(sources, module.name, target)?;
                let image = gate(places, module, target, compiled)?;
                done.lock().map_err(|_| anyhow!("a compiling thread panicked"))?.push((index, image));
            }
        };
        let threads: Vec<_> =
            (0..std::thread::available_parallelism()?.get()).map(|_| scope.spawn(worker)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("a compiling thread panicked")))
    })?;
    let mut images = done.into_inner().map_err(|_| anyhow!("a compiling thread panicked"))?;
    images.sort_by_key(|(index, _)| *index);
    Ok(images.into_iter().map(|(_, image)| image).collect())
}

fn gate(places: &Places, module: &Module, target: Target, compiled: Compiled) -> Result<Image> {
    if target.ptx {
        assemble(places, module, target, &compiled.image)?;
    } else {
        gates::check(module, target, &compiled.log).with_context(|| target.name())?;
    }
    let compressed = zstd::bulk::compress(&compiled.image, COMPRESSION)?;
    let sha256 = hex(&Sha256::digest(&compiled.image));
    Ok(Image { module: module.name, target, bytes: compiled.image.len(), sha256, compressed })
}

/// Proves that the relabelled text is PTX of the version that it claims.
fn assemble(places: &Places, module: &Module, target: Target, ptx: &[u8]) -> Result<()> {
    let name = format!("libvision-{}-{}-{}", module.name, target.capability, std::process::id());
    let file = std::env::temp_dir().join(name).with_extension("ptx");
    std::fs::write(&file, ptx)?;
    let mut command = Command::new(places.toolchain.join("nvidia/cuda_nvcc/bin/ptxas"));
    command.arg(format!("-arch=sm_{}", target.capability)).arg(&file).args(["-o", "/dev/null"]);
    let output = command.output().with_context(|| format!("{command:?}"));
    // Only the name of a temporary file is at stake.
    let _ = std::fs::remove_file(&file);
    let output = output?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The Rust file that embeds the images.
fn list(images: &[Image], sources: &[Source]) -> String {
    let mut text = String::from(
        "//! The images that `cargo xtask cubins` made: do not edit.\n\nuse super::images::{Image, Kind};\n\n",
    );
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "/// SHA-256 of the sources that the images were made from.\npub const SOURCES: &str = \"{}\";\n\n",
        sources::hash(sources)
    );
    text.push_str("/// Every module for every target.\npub const IMAGES: &[Image] = &[\n");
    for image in images {
        let kind = if image.target.ptx { "Ptx" } else { "Cubin" };
        let _ = write!(
            text,
            "    Image {{\n        module: \"{}\",\n        capability: {},\n        kind: Kind::{kind},\n        bytes: {},\n        sha256: \"{}\",\n        compressed: include_bytes!(\"../../cuda/prebuilt/{}\"),\n    }},\n",
            image.module,
            image.target.capability,
            image.bytes,
            image.sha256,
            image.target.file(image.module)
        );
    }
    text.push_str("];\n");
    text
}

fn summary(images: &[Image]) {
    for target in TARGETS {
        let of_target = || images.iter().filter(|image| image.target == *target);
        let bytes: usize = of_target().map(|image| image.bytes).sum();
        let compressed: usize = of_target().map(|image| image.compressed.len()).sum();
        println!("{:<12} {bytes:>9} bytes, {compressed:>7} compressed", target.name());
    }
}

#[cfg(test)]
mod tests {
    use crate::sources::{self, hex};
    use libvision_kernels::cuda::images::Kind;
    use libvision_kernels::cuda::prebuilt::{IMAGES, SOURCES};
    use sha2::{Digest, Sha256};
    use std::path::Path;

    #[test]
    fn the_images_are_those_of_the_sources() {
        let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels");
        let sources = sources::read(&kernels).expect("the sources");
        assert_eq!(sources::hash(&sources), SOURCES, "run `cargo xtask cubins` and commit");
    }

    #[test]
    fn every_image_unpacks_to_what_the_list_says() {
        for image in IMAGES {
            let unpacked = zstd::bulk::decompress(image.compressed, image.bytes).expect("a whole frame");
            assert_eq!(unpacked.len(), image.bytes, "{} for {}", image.module, image.capability);
            assert_eq!(
                hex(&Sha256::digest(&unpacked)),
                image.sha256,
                "{} for {}",
                image.module,
                image.capability
            );
            assert_eq!(unpacked.starts_with(b"\x7fELF"), image.kind == Kind::Cubin);
        }
        assert!(!IMAGES.is_empty());
    }
}
