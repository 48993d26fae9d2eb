//! Short programs that use mailqueue stand in `examples/`.
