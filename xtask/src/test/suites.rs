//! THE list of suites, cheapest first.

use super::{examples, faces, packages, setup};
use crate::check;
use crate::command::{cargo, output, run};
use crate::dist;
use anyhow::bail;

/// One suite.
pub struct Suite {
    pub name: &'static str,
    pub what: &'static str,
    pub run: fn() -> anyhow::Result<()>,
}

pub const SUITES: &[Suite] = &[
    Suite { name: "setup", what: "Debian packages and the Python environment", run: prepare },
    Suite { name: "format", what: "rustfmt changes nothing", run: format },
    Suite { name: "layers", what: "layers, versions, no network in the core", run: structure },
    Suite { name: "lints", what: "clippy has nothing to say", run: lints },
    Suite { name: "docs", what: "rustdoc has nothing to say", run: docs },
    Suite { name: "generated", what: "header and messages equal what is committed", run: generated },
    Suite { name: "assembly", what: "machine code of the micro-kernels", run: check::assembly::check },
    Suite { name: "rust", what: "tests of the Rust crates, the C ABI in C and C++", run: rust },
    Suite {
        name: "cuda",
        what: "the CUDA kernels in the emulator, the software driver, planted bugs",
        run: cuda,
    },
    Suite {
        name: "software-gpu",
        what: "the CUDA backend on the software driver: answers, schedules, faults, planted bugs",
        run: software_gpu,
    },
    Suite { name: "cubins", what: "the committed CUDA images are those of the sources", run: cubins },
    Suite { name: "portable", what: "the core's tests on the portable kernels", run: portable },
    Suite { name: "benches", what: "every bench runs once", run: benches },
    Suite { name: "fuzz", what: "a short run of every fuzz target", run: fuzz },
    Suite { name: "packages", what: "wheel, npm package and prefix are made", run: dist::run },
    Suite {
        name: "prefix",
        what: "CMake and pkg-config programs build against the prefix",
        run: packages::prefix,
    },
    Suite {
        name: "python",
        what: "the wheel in a fresh environment: tests, types, stubs",
        run: packages::python,
    },
    Suite { name: "node", what: "the npm package in a fresh folder: tests, types", run: packages::node },
    Suite { name: "examples", what: "five languages print the same lines", run: examples::run_examples },
    Suite {
        name: "faces",
        what: "command line and five languages on the software driver, as on the CPU",
        run: faces::faces,
    },
];

/// Extension modules, which only their hosts can link, and what has a suite of its own.
const NOT_TESTED_BY_CARGO: [&str; 10] = [
    "--exclude",
    "libvision-python",
    "--exclude",
    "libvision-node",
    "--exclude",
    "libvision-cuda-emulator",
    "--exclude",
    "libvision-software-driver",
    "--exclude",
    "libvision-kernel-suite",
];

fn prepare() -> anyhow::Result<()> {
    setup::debian_packages()?;
    crate::python::environment().map(drop)
}

fn format() -> anyhow::Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))
}

fn structure() -> anyhow::Result<()> {
    check::layers::run()?;
    check::version::run()?;
    let tree = output(cargo().args(["tree", "--package", "libvision", "--prefix", "none", "--locked"]))?;
    for name in ["tokio", "hyper", "reqwest"] {
        if tree.lines().any(|line| line.split(' ').next() == Some(name)) {
            bail!("the core depends on {name}: no network and no async runtime belong there");
        }
    }
    println!("    {} crates under the core, no tokio, hyper or reqwest", tree.lines().count());
    Ok(())
}

fn lints() -> anyhow::Result<()> {
    let clippy = ["clippy", "--quiet", "--locked"];
    let strict = ["--", "-D", "warnings"];
    // An addon registers nothing when it is compiled as a test, and would seem unused.
    let all = ["--workspace", "--all-targets", "--exclude", "libvision-node"];
    run(cargo().args(clippy).args(all).args(strict))?;
    run(cargo().args(clippy).args(["--package", "libvision-node"]).args(strict))
}

fn docs() -> anyhow::Result<()> {
    let mut command = cargo();
    command.args(["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"]);
    run(command.env("RUSTDOCFLAGS", "-D warnings"))
}

fn generated() -> anyhow::Result<()> {
    for name in ["header", "onnx", "dependencies"] {
        check::generated::generator(name, &["--check".to_owned()])?;
    }
    Ok(())
}

fn rust() -> anyhow::Result<()> {
    run(cargo().args(["test", "--quiet", "--workspace", "--locked"]).args(NOT_TESTED_BY_CARGO))
}

fn cuda() -> anyhow::Result<()> {
    // In one call, so that what they share is built once.
    let packages = ["libvision-cuda-emulator", "libvision-kernel-suite", "libvision-software-driver"];
    run(cargo().args(["test", "--quiet", "--locked"]).args(packages.map(|name| format!("--package={name}"))))
}

fn software_gpu() -> anyhow::Result<()> {
    let on_it = |seeds: &str, tests: &[&str]| {
        let cargo =
            ["--seeds", seeds, "--", "cargo", "test", "--quiet", "--package", "libvision", "--locked"];
        let words = cargo.iter().chain(tests).map(|word| (*word).to_owned());
        crate::software_gpu::run_on_it(&words.collect::<Vec<_>>())
    };
    on_it("1", &["--lib", "planted"])?;
    on_it("1", &["--test", "cuda_backend", "--test", "cuda_faults", "--test", "cuda_probe"])?;
    on_it("20", &["--test", "cuda_engine"])
}

fn cubins() -> anyhow::Result<()> {
    check::generated::cubins(&["--check".to_owned()])?;
    check::generated::cubins(&["--report".to_owned(), "--check".to_owned()])
}

fn portable() -> anyhow::Result<()> {
    let mut command = cargo();
    command.args(["test", "--quiet", "--package", "libvision", "--locked"]);
    run(command.env("LIBVISION_CPU_ISA", "portable"))
}

fn fuzz() -> anyhow::Result<()> {
    crate::fuzz::run_targets(&[])
}

fn benches() -> anyhow::Result<()> {
    run(cargo().args(["run", "--quiet", "--package", "libvision-benches", "--", "--once"]))
}
