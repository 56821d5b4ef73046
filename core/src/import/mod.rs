//! Model files to graphs.
