//! What the CPU backend takes from the allocator, counted.

use libvision::backend::cpu::CpuBackend;
use libvision::backend::{Backend, CompileOptions};
use libvision::graph::{Dim, Graph, Op, Output, Value, ValueKind, infer_shapes};
use libvision::{DType, Tensor};
use libvision_kernels::epilogue::Activation;
use libvision_kernels::geometry::Window;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// The system's allocator with counters.
struct Counting;

/// Calls of any thread.
static CALLS: AtomicUsize = AtomicUsize::new(0);
/// Bytes of blocks aligned to a page: only arenas and constants are.
static PAGE_BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, SeqCst);
        if layout.align() >= 4096 {
            PAGE_BYTES.fetch_add(layout.size(), SeqCst);
        }
        // SAFETY: passed on to the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        CALLS.fetch_add(1, SeqCst);
        // SAFETY: passed on to the caller.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A convolution, a batch norm, pooling, a classifier, on pictures of 3 x 24 x 20.
fn graph() -> Graph {
    let mut graph = Graph::default();
    let shape = [Dim::Batch, Dim::Fixed(3), Dim::Fixed(24), Dim::Fixed(20)].to_vec();
    let input = Value { name: "x".into(), kind: ValueKind::Input, dtype: DType::F32, shape: Some(shape) };
    let x = graph.add_value(input);
    graph.inputs.push(x);
    let constant = |graph: &mut Graph, sizes: &[usize]| {
        let values = (0..sizes.iter().product()).map(|i: usize| (i % 7) as f32 / 7.0).collect();
        graph.add_constant("c", Tensor::new(sizes, values).expect("as many"))
    };
    let window = Window::square(3, 1, 1);
    let weights = constant(&mut graph, &[20, 3, 3, 3]);
    let activation = Activation::Relu;
    let conv = Op::Conv2d { window, groups: 1, has_bias: false, has_residual: false, activation };
    let y = graph.add_node("conv", conv, vec![x, weights], "y");
    let parameters = [0; 4].map(|_| constant(&mut graph, &[20]));
    let y = graph.add_node("bn", Op::BatchNorm { epsilon: 0.1 }, [&[y][..], &parameters].concat(), "z");
    let y = graph.add_node("pool", Op::GlobalAveragePool { keep_dims: false }, vec![y], "p");
    let y = graph.add_node("row_bn", Op::BatchNorm { epsilon: 0.1 }, [&[y][..], &parameters].concat(), "q");
    let weights = constant(&mut graph, &[10, 20]);
    let linear = Op::Linear { has_bias: false, activation: Activation::Identity };
    let y = graph.add_node("fc", linear, vec![y, weights], "logits");
    let y = graph.add_node("softmax", Op::Softmax, vec![y], "scores");
    infer_shapes(&mut graph).expect("shapes that fit");
    graph.outputs.push(Output { name: "scores".into(), value: y });
    graph
}

// One test, so that no other allocates meanwhile.
#[test]
fn contexts_take_what_is_described_and_runs_take_nothing() {
    let graph = graph();
    for threads in [1, 3] {
        let options = CompileOptions { max_batch_size: 4, threads, ..CompileOptions::default() };
        let executable = CpuBackend::new().compile(&graph, &options).expect("a graph that the CPU runs");
        let need = executable.memory_need();
        assert!(executable.describe().contains(&format!("arena: {} bytes", need.arena)));

        PAGE_BYTES.store(0, SeqCst);
        let mut context = executable.clone().new_context().expect("memory");
        assert_eq!(PAGE_BYTES.load(SeqCst), need.arena);

        let image = vec![0.5; 4 * 3 * 24 * 20];
        let mut scores = [0.0; 4 * 10];
        // Threads allocate while they start, which may take a while; runs that allocate never stop.
        let is_quiet = (0..1000).any(|_| {
            let before = CALLS.load(SeqCst);
            for batch in [4, 1, 3, 4] {
                let (image, scores) = (&image[..batch * 3 * 24 * 20], &mut scores[..batch * 10]);
                context.run(batch, &[image], &mut [scores]).expect("a run");
            }
            CALLS.load(SeqCst) == before
        });
        assert!(is_quiet, "runs with {threads} threads allocate");
        assert!((scores.iter().sum::<f32>() - 4.0).abs() < 1e-4);
    }
}
