//! The device code as data, and the arithmetic of launching it. Nothing here needs CUDA or a GPU.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`modules`] | THE list of modules and entry points |
//! | [`images`], [`prebuilt`] | the compiled modules, and which of them a device gets |
//! | [`element`], [`divisor`], [`arguments`] | element types; division by multiplication; argument blocks |
//! | [`launch`] | what a launch is |
//! | [`conv2d`], [`window`], [`linear`], [`rows`], [`resize`] | one family each: what it can do, packing, launches |

pub mod arguments;
pub mod conv2d;
pub mod divisor;
pub mod element;
pub mod images;
pub mod launch;
pub mod linear;
pub mod modules;
pub mod prebuilt;
pub mod resize;
pub mod rows;
pub mod window;
