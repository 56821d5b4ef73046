//! Blocked matrix products over tables of offsets: what convolution and fully connected layers are made of.

mod aligned;
mod driver;
mod panels;
mod partition;
mod pixels;
mod tile;

pub(crate) use aligned::AlignedFloats;
pub(crate) use driver::{Gemm, Operands};
pub(crate) use panels::{KTable, Packing, Panel, split_panels};
pub(crate) use pixels::PixelTable;
pub(crate) use tile::{
    Finish, MAX_ROWS, MAX_VECTORS, PrefetchLevel, Tile, TileArguments, TileFn, TileKernels,
};
