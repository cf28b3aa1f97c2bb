//! Local web pages: a run that is being trained, a trained model to try.
