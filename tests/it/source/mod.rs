//! The sources, read over real HTTP from a registry that answers whatever a test wants.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod enterprise;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod file;
#[cfg(test)]
mod generations;
#[cfg(test)]
mod listing;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod signature;
