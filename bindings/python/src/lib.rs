//! The extension module `libvision._libvision`: Python objects to core types and back. What a caller
//! sees, apart from `Model`, is written in Python around it.

mod array;
mod completion;
mod engine;
mod error;
mod image;
mod metrics;
mod model;
mod number;
mod preprocess;
mod request;
mod request_options;
mod response;

#[pyo3::pymodule]
mod _libvision {
    #[pymodule_export]
    use crate::completion::{CompletionReceiver, CompletionSender, completions};
    #[pymodule_export]
    use crate::engine::{Defaults, Engine, defaults};
    #[pymodule_export]
    use crate::error::error_kinds;
    #[pymodule_export]
    use crate::model::Model;
    #[pymodule_export]
    use crate::preprocess::imagenet;
    #[pymodule_export]
    use crate::request::Request;
    #[pymodule_export]
    use crate::response::Response;

    /// The version of the library.
    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "the name that Python modules use")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
