//! Whole networks in half precision: the shipped model and a narrow ResNet-50, on the shipped pictures. Their
//! answers are the CPU's, and an image's bits do not depend on what it shares a batch with.

mod network;

use anyhow::{Context, Result, anyhow, ensure};
use libvision::Model;
use libvision::backend::{CompileOptions, registry};
use libvision::graph::Graph;
use libvision::image::{DecodeLimits, decode};
use libvision::preprocess::{CpuPreprocessor, PreprocessSpec};
use libvision_kernels::cuda::element::Element;
use network::Network;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The shipped pictures as the network's input, one after another.
fn pictures(spec: &PreprocessSpec) -> Result<Vec<Vec<f32>>> {
    let folder = root().join("examples/model/pictures");
    let mut files: Vec<PathBuf> =
        folder.read_dir()?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.sort();
    let preprocessor = CpuPreprocessor::new(spec)?;
    let read = |file: &PathBuf| -> Result<Vec<f32>> {
        let pixels = decode(&std::fs::read(file)?, &DecodeLimits::default(), true)?;
        let mut slot = vec![0.0; preprocessor.output_len()];
        preprocessor.run(&pixels, &mut slot)?;
        Ok(slot)
    };
    files.iter().map(|file| read(file).with_context(|| file.display().to_string())).collect()
}

/// The first output of the CPU backend, image after image.
fn on_the_cpu(graph: &Graph, images: &[Vec<f32>]) -> Result<Vec<Vec<f32>>> {
    let options = CompileOptions { max_batch_size: 1, ..CompileOptions::default() };
    let executable = registry::open("cpu")?.backend.compile(graph, &options)?;
    let mut context = executable.clone().new_context()?;
    let sizes: Vec<usize> = executable.outputs().iter().map(|output| output.elements_per_image()).collect();
    let run = |image: &Vec<f32>| -> Result<Vec<f32>> {
        let mut outputs: Vec<Vec<f32>> = sizes.iter().map(|size| vec![0.0; *size]).collect();
        let mut parts: Vec<&mut [f32]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        context.run(1, &[image], &mut parts)?;
        Ok(outputs.swap_remove(0))
    };
    images.iter().map(run).collect()
}

fn best(logits: &[f32]) -> Option<usize> {
    (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]))
}

/// The CPU's best class for every image, and logits within a hundredth of that image's largest logit.
fn agrees_with_the_cpu(graph: &Graph, images: &[Vec<f32>]) -> Result<()> {
    let expected = on_the_cpu(graph, images)?;
    let middle = images.len() / 2;
    let worker = |range: std::ops::Range<usize>| -> Result<f32> {
        let mut worst = 0.0_f32;
        for i in range {
            let network = Network { graph, element: Element::F16, seed: i as u64 };
            let found = network.run(1, &images[i])?;
            let difference = found.iter().zip(&expected[i]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            ensure!(best(&found) == best(&expected[i]), "picture {i}: another best class than the CPU's");
            let largest = expected[i].iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
            ensure!(
                difference <= 0.01 * largest,
                "picture {i}: logits are {difference} off, of at most {largest}"
            );
            worst = worst.max(difference / largest);
        }
        Ok(worst)
    };
    let worst = std::thread::scope(|scope| {
        let other = scope.spawn(|| worker(0..middle));
        let second = worker(middle..images.len())?;
        let first = other.join().map_err(|_| anyhow!("a testing thread panicked"))??;
        anyhow::Ok(first.max(second))
    })?;
    println!("{} pictures, largest difference {worst:.1e} of a picture's largest logit", images.len());
    Ok(())
}

fn does_not_depend_on_the_batch(graph: &Graph, images: &[Vec<f32>]) -> Result<()> {
    let run = |images: &[Vec<f32>], seed: u64| {
        Network { graph, element: Element::F16, seed }.run(images.len(), &images.concat())
    };
    let all = run(&images[..8], 100)?;
    let size = all.len() / 8;
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    for (from, to) in [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7), (7, 8), (0, 2), (3, 8)] {
        let part = run(&images[from..to], from as u64)?;
        ensure!(bits(&part) == bits(&all[from * size..to * size]), "images {from} to {to} of 8");
    }
    Ok(())
}

#[test]
fn the_shipped_model() -> Result<()> {
    let model = Model::load(root().join("examples/model"))?;
    let images = pictures(model.preprocess())?;
    ensure!(images.len() == 60, "{} pictures", images.len());
    agrees_with_the_cpu(model.graph(), &images)?;
    does_not_depend_on_the_batch(model.graph(), &images)
}

/// All 53 convolutions, a few channels wide: random filters, and a classifier that names what the pictures show.
#[test]
fn a_narrow_resnet50() -> Result<()> {
    let model =
        Model::load(root().join("tests/golden/safetensors/resnet50_calibrated.torchvision.safetensors"))?;
    let convolutions = model.graph().nodes.iter().filter(|node| node.op.name() == "Conv2d").count();
    ensure!(convolutions == 53, "{convolutions} convolutions");
    let images = pictures(model.preprocess())?;
    agrees_with_the_cpu(model.graph(), &images)?;
    does_not_depend_on_the_batch(model.graph(), &images)
}
