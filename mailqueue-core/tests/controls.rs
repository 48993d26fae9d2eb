//! Controls in memory, held to the suite of all.

use std::sync::Arc;

use mailqueue_core::Controls;
use mailqueue_core::controls::MemoryControls;

async fn open() -> (Arc<dyn Controls>, ()) {
    (Arc::new(MemoryControls::new()), ())
}

mailqueue_core::controls_conformance!(controls_in_memory, open());
