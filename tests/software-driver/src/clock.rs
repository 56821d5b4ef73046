//! Vector clocks (Fidge 1988, Mattern 1989): how much of every stream is known to be over.

/// One number per stream: that many of its operations have ended, as far as the owner of the clock knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock(Vec<u64>);

impl Clock {
    pub(crate) fn of(&self, stream: usize) -> u64 {
        self.0.get(stream).copied().unwrap_or(0)
    }

    pub(crate) fn set(&mut self, stream: usize, sequence: u64) {
        if self.0.len() <= stream {
            self.0.resize(stream + 1, 0);
        }
        self.0[stream] = sequence;
    }

    /// Learns what the other one knows.
    pub(crate) fn join(&mut self, other: &Clock) {
        for (stream, sequence) in other.0.iter().enumerate() {
            if *sequence > self.of(stream) {
                self.set(stream, *sequence);
            }
        }
    }
}
