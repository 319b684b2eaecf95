//! Sets of terms: a bit each, or a list where they are few.

/// A set of terms, a bit each. All sets of one matcher are equally long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bits(Box<[u64]>);

impl Bits {
    /// No term, of `count`.
    pub(super) fn none(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)].into())
    }

    /// Every term, of `count`.
    pub(super) fn all(count: usize) -> Self {
        let mut this = Self(vec![u64::MAX; count.div_ceil(64)].into());
        if let Some(last) = this.0.last_mut()
            && !count.is_multiple_of(64)
        {
            *last = (1 << (count % 64)) - 1;
        }
        this
    }

    /// Adds one.
    pub(super) fn insert(&mut self, term: u32) {
        self.0[term as usize / 64] |= 1 << (term % 64);
    }

    /// Takes one away.
    pub(super) fn remove(&mut self, term: u32) {
        self.0[term as usize / 64] &= !(1 << (term % 64));
    }

    /// Whether one is in it.
    pub(super) fn contains(&self, term: u32) -> bool {
        self.0[term as usize / 64] & (1 << (term % 64)) != 0
    }

    /// Becomes a copy of another, without allocating.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.0.copy_from_slice(&other.0);
    }

    /// Adds all of another.
    pub(super) fn unite(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
    }

    /// Takes all of another away.
    pub(super) fn subtract(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word &= !other;
        }
    }

    /// Keeps what another has too, and says whether anything is left.
    pub(super) fn intersect(&mut self, other: &Self) -> bool {
        let mut left = 0;
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word &= other;
            left |= *word;
        }
        left != 0
    }

    /// Keeps what either of two others has too, and says whether anything is left.
    pub(super) fn intersect_either(&mut self, one: &Self, other: &Self) -> bool {
        let mut left = 0;
        for (word, (one, other)) in self.0.iter_mut().zip(one.0.iter().zip(&other.0)) {
            *word &= one | other;
            left |= *word;
        }
        left != 0
    }

    /// The terms in it, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().zip(0_u32..).flat_map(|(&word, index)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = rest.checked_ilog2().map(|_| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(64 * index + bit)
            })
        })
    }
}

/// Terms that share something, in whichever form is smaller.
#[derive(Debug)]
pub(super) enum Terms {
    /// Their indexes.
    Few(Box<[u32]>),
    /// A bit each.
    Many(Bits),
}

impl Terms {
    /// These terms, of `count`.
    pub(super) fn new(terms: Vec<u32>, count: usize) -> Self {
        if terms.len() <= count / 64 {
            return Self::Few(terms.into());
        }
        let mut bits = Bits::none(count);
        for term in terms {
            bits.insert(term);
        }
        Self::Many(bits)
    }

    /// Adds them to a set.
    pub(super) fn add_to(&self, bits: &mut Bits) {
        match self {
            Self::Few(terms) => terms.iter().for_each(|&term| bits.insert(term)),
            Self::Many(terms) => bits.unite(terms),
        }
    }

    /// Takes them from a set.
    pub(super) fn remove_from(&self, bits: &mut Bits) {
        match self {
            Self::Few(terms) => terms.iter().for_each(|&term| bits.remove(term)),
            Self::Many(terms) => bits.subtract(terms),
        }
    }
}
