//! Models made in memory rather than loaded.

use super::model::Model;
use crate::error::Result;
use crate::graph::{Graph, infer_shapes, validate};
use crate::postprocess::Head;
use crate::preprocess::PreprocessSpec;

impl Model {
    /// A model of a graph that the caller made. It is validated and its shapes are inferred; no pass runs.
    pub fn from_graph(
        name: impl Into<String>,
        mut graph: Graph,
        preprocess: PreprocessSpec,
        labels: Vec<String>,
        head: Head,
    ) -> Result<Self> {
        let name = name.into();
        infer_shapes(&mut graph)?;
        validate(&graph)?;
        Ok(Self {
            path: name.as_str().into(),
            name,
            graph,
            mapped: None,
            preprocess,
            labels,
            head,
            notes: Vec::new(),
            golden: None,
        })
    }
}
