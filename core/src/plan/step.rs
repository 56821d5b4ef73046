//! What a plan is made of: one thing to do, and the tensors it touches.

/// Position in [`Plan::tensors`](super::Plan::tensors).
pub type TensorId = usize;

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Copies the caller's input of this number into the arena.
    Load {
        /// Position in [`Graph::inputs`](crate::graph::Graph::inputs).
        input: usize,
    },
    /// Computes a node.
    Compute {
        /// Position in [`Graph::nodes`](crate::graph::Graph::nodes).
        node: usize,
    },
    /// Copies a tensor to the caller's output of this number.
    Store {
        /// Position in [`Graph::outputs`](crate::graph::Graph::outputs).
        output: usize,
    },
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Name of the node, or of the graph's input or output.
    pub name: String,
    /// The operator with its window, epilogue and so on, for people.
    pub operation: String,
    /// What to do.
    pub work: Work,
    /// Tensors read, in the order of the node's inputs; `None` stands for a constant.
    pub inputs: Vec<Option<TensorId>>,
    /// The tensor written; `None` for [`Work::Store`].
    pub output: Option<TensorId>,
    /// Whether the border of the output must be cleared first, because other tensors have lain over it.
    /// Otherwise it is zero already.
    pub clear_border: bool,
}
