//! The sources, read over real HTTP from a registry that answers whatever a test wants.

#[cfg(test)]
mod signature;
