//! A layer of any kind.

use crate::kind::Kind;
use std::any::Any;
use std::sync::Arc;

/// One element of a [`Sequence`](crate::Sequence): one of the kinds in [`layers`](crate::layers). Cheap to clone.
#[derive(Debug, Clone)]
pub struct Layer(Arc<dyn Kind>);

impl Layer {
    pub(crate) fn new(kind: impl Kind) -> Self {
        Layer(Arc::new(kind))
    }

    pub(crate) fn kind(&self) -> &dyn Kind {
        &*self.0
    }

    /// The layer as this kind, if it is one: `layer.get::<Conv>()`.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        let kind: &dyn Any = &*self.0;
        kind.downcast_ref()
    }
}
