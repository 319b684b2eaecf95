//! What several subjects need: fakes of the far side and of the store.

pub(crate) mod outbox;
