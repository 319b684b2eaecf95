//! A listing of all repositories, put together from pages that move while they are read: a pure
//! state machine, as a walk of a log is.
//!
//! Each page begins with the last item of the one before, which joins them: where it begins with
//! another, something above went or came, and the listing is begun again. What was seen was there
//! and counts; only a listing whose pages were joined says that nothing was left out.
//! Deliberately absent: which of them are wanted.

use std::{collections::BTreeSet, sync::Arc};

use crate::ports::{Listed, Listing, ListingRequest};

/// The most repositories of one source.
pub const MAX_REPOS: usize = 100_000;

/// How often a listing is begun again before it is taken as it comes.
const MAX_RESTARTS: u32 = 2;

/// The most pages of one listing.
const MAX_PAGES: u32 = 20_000;

/// A listing under way.
#[derive(Debug)]
pub(super) struct Survey {
    limit: u32,
    offset: u64,
    /// The last item of the page before, which this one is to begin with.
    last: Option<Listed>,
    names: BTreeSet<Arc<str>>,
    partial: Option<bool>,
    restarts: u32,
    pages: u32,
    joined: bool,
    ended: bool,
}

/// What a listing came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Surveyed {
    /// Every repository that was seen, in order of name.
    pub(super) names: Vec<Arc<str>>,
    /// The pages were joined, so that none was left out.
    pub(super) joined: bool,
    /// Whether the account sees only some, where the answers said so.
    pub(super) partial: Option<bool>,
}

impl Survey {
    /// A listing in pages of `limit` items, at least two.
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit: limit.max(2),
            offset: 0,
            last: None,
            names: BTreeSet::new(),
            partial: None,
            restarts: 0,
            pages: 0,
            joined: true,
            ended: false,
        }
    }

    /// The page that is wanted next; `None` at the end. Asking twice changes nothing.
    pub(super) fn ask(&self) -> Option<ListingRequest> {
        let request = ListingRequest { offset: self.offset, limit: self.limit };
        (!self.ended).then_some(request)
    }

    /// Absorbs the answer to [`Survey::ask`].
    pub(super) fn absorb(&mut self, listing: &Listing) {
        self.pages += 1;
        self.partial = match (self.partial, listing.partial) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (before, said) => said.or(before),
        };
        let continues = self.last.is_none() || listing.items.first() == self.last.as_ref();
        for item in &listing.items {
            if self.names.len() < MAX_REPOS || self.names.contains(&*item.repo) {
                self.names.insert(Arc::from(&*item.repo));
            } else {
                self.joined = false;
            }
        }
        if !continues && self.restarts < MAX_RESTARTS {
            self.restarts += 1;
            (self.offset, self.last) = (0, None);
        } else {
            self.joined &= continues;
            self.advance(listing);
        }
        if self.pages >= MAX_PAGES {
            (self.ended, self.joined) = (true, false);
        }
    }

    fn advance(&mut self, listing: &Listing) {
        let end = self.offset + u64::from(listing.len);
        // A short page ends a listing, unless there is said to be more: then an empty one does.
        let more = listing.total.is_some_and(|total| total > end);
        let overlap = u64::from(self.last.is_some());
        let brought = u64::from(listing.len) > overlap;
        if !brought || (listing.len < self.limit && !more) {
            self.ended = true;
            return;
        }
        self.last = listing.items.last().cloned();
        self.offset = if self.last.is_some() { end - 1 } else { end };
    }

    /// Ends it.
    pub(super) fn finish(self) -> Surveyed {
        let Self { names, joined, partial, .. } = self;
        Surveyed { names: names.into_iter().collect(), joined, partial }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str) -> Listed {
        Listed { repo: name.into(), mark: None }
    }

    /// Answers from a list that `change` may change before each request.
    fn survey(mut list: Vec<String>, mut change: impl FnMut(usize, &mut Vec<String>)) -> Surveyed {
        let mut survey = Survey::new(10);
        let mut request = 0;
        while let Some(ask) = survey.ask() {
            change(request, &mut list);
            let skip = usize::try_from(ask.offset).unwrap();
            let items: Vec<_> =
                list.iter().skip(skip).take(ask.limit as usize).map(|it| listed(it)).collect();
            let len = u32::try_from(items.len()).unwrap();
            let total = Some(list.len() as u64);
            survey.absorb(&Listing { items, len, total, partial: None });
            request += 1;
            assert!(request < 1000, "it ends");
        }
        survey.finish()
    }

    fn repos(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("r{index:04}")).collect()
    }

    #[test]
    fn every_length_is_listed_whole() {
        for count in 0..60 {
            let found = survey(repos(count), |_, _| {});
            assert_eq!((found.names.len(), found.joined), (count, true), "{count}");
        }
    }

    #[test]
    fn one_that_goes_between_two_pages_hides_none() {
        for at in 0..6 {
            let found = survey(repos(50), |request, list| {
                if request == at {
                    list.remove(3);
                }
            });
            assert!(found.joined);
            assert!(found.names.len() >= 49, "{at}: {}", found.names.len());
        }
    }

    #[test]
    fn a_list_that_never_stands_still_is_not_said_to_be_whole() {
        let found = survey(repos(500), |request, list| {
            if request % 2 == 1 {
                list.remove(0);
            }
        });
        assert!(!found.joined);
        assert!(found.names.len() > 400);
    }

    #[test]
    fn a_server_that_gives_less_than_was_asked_is_believed_its_total() {
        let mut survey = Survey::new(100);
        let all = repos(30);
        while let Some(ask) = survey.ask() {
            let skip = usize::try_from(ask.offset).unwrap();
            let items: Vec<_> = all.iter().skip(skip).take(7).map(|it| listed(it)).collect();
            let len = u32::try_from(items.len()).unwrap();
            survey.absorb(&Listing { items, len, total: Some(30), partial: Some(skip == 6) });
        }
        let found = survey.finish();
        assert_eq!((found.names.len(), found.partial), (30, Some(true)));
    }
}
