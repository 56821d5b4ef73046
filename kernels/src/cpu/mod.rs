//! Vectorised kernels for CPUs, the table that lists them and the choice at run time.
