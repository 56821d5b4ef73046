//! Speed: measured, never tested.
