//! What the passes did and what they had to leave, by node.

/// One thing a pass did or left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Name of the pass.
    pub pass: &'static str,
    /// Name of the node.
    pub node: String,
    /// What was done, or why nothing was.
    pub what: String,
}

/// What the passes did and left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// Folds, fusions and removals, in order.
    pub fired: Vec<Finding>,
    /// Fusions that nearly applied.
    pub missed: Vec<Finding>,
    /// Nodes before the first pass.
    pub nodes_before: usize,
    /// Nodes after the last pass.
    pub nodes_after: usize,
}

impl Diagnostics {
    /// Notes a rewriting.
    pub fn fired(&mut self, pass: &'static str, node: impl Into<String>, what: impl Into<String>) {
        self.fired.push(Finding { pass, node: node.into(), what: what.into() });
    }

    /// Notes a rewriting that nearly applied.
    pub fn missed(&mut self, pass: &'static str, node: impl Into<String>, why: impl Into<String>) {
        self.missed.push(Finding { pass, node: node.into(), what: why.into() });
    }

    /// Lines for people: how often each pass did what, then what was missed.
    pub fn summary(&self) -> Vec<String> {
        let mut counts: Vec<(&str, &str, usize)> = Vec::new();
        for Finding { pass, what, .. } in &self.fired {
            match counts.iter_mut().find(|(p, w, _)| p == pass && w == what) {
                Some((_, _, count)) => *count += 1,
                None => counts.push((pass, what, 1)),
            }
        }
        let mut lines = vec![format!("{} nodes became {}", self.nodes_before, self.nodes_after)];
        lines.extend(counts.into_iter().map(|(pass, what, count)| format!("{pass}: {count} x {what}")));
        lines.extend(
            self.missed.iter().map(|Finding { pass, node, what }| format!("{pass} left {node:?}: {what}")),
        );
        lines
    }
}
