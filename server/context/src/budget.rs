//! Keeping a text within its tokens: cuts in a fixed order, as few of them as will do. It knows neither what is cut nor
//! how a text is made. A larger budget never takes more cuts than a smaller one, whatever the texts weigh.

/// Why no text fits.
#[derive(Debug)]
pub(crate) enum Unfit<E> {
    /// All cuts together do not suffice: this many tokens remain.
    TooLarge(u32),
    /// The text cannot be made.
    Failed(E),
}

/// A text made with some cuts, whose weight is known.
pub(crate) trait Weighed {
    fn tokens(&self) -> u32;
}

/// The text with the fewest cuts that fits, for cuts that save what only making the text can tell; with the number of
/// the cuts. They are halved down to: at every place where a smaller budget says "enough", a larger one does too.
pub(crate) fn fit<T: Weighed, E>(
    whole: T,
    cuts: usize,
    available: u32,
    mut make: impl FnMut(usize) -> Result<T, E>,
) -> Result<(T, usize), Unfit<E>> {
    if whole.tokens() <= available {
        return Ok((whole, 0));
    }
    let (mut best, mut enough) = (if cuts == 0 { whole } else { make(cuts).map_err(Unfit::Failed)? }, cuts);
    if best.tokens() > available {
        return Err(Unfit::TooLarge(best.tokens()));
    }
    let mut too_few = 0;
    while enough - too_few > 1 {
        let middle = too_few + (enough - too_few) / 2;
        let tried = make(middle).map_err(Unfit::Failed)?;
        if tried.tokens() <= available {
            (best, enough) = (tried, middle);
        } else {
            too_few = middle;
        }
    }
    Ok((best, enough))
}

/// The same for cuts that say about how much they save, so that one or two texts are made in place of many. They are
/// taken until they save enough, and then one by one: a larger budget begins with fewer and stops at the latest where
/// the smaller one does.
pub(crate) fn fit_by_savings<T: Weighed, E>(
    whole_tokens: u32,
    savings: &[u32],
    available: u32,
    mut make: impl FnMut(usize) -> Result<T, E>,
) -> Result<(T, usize), Unfit<E>> {
    let mut first = 0;
    // A little more than what is missing, so that the first text mostly fits.
    let over = u64::from(whole_tokens.saturating_sub(available));
    let mut left = u32::try_from(over * 102 / 100).unwrap_or(u32::MAX);
    while left > 0 && first < savings.len() {
        left = left.saturating_sub(savings[first]);
        first += 1;
    }
    let mut cuts = first;
    loop {
        let made = make(cuts).map_err(Unfit::Failed)?;
        if made.tokens() <= available {
            return Ok((made, cuts));
        }
        // A cut that saves nothing is not worth a text of its own.
        match savings[cuts..].iter().position(|saving| *saving > 0) {
            Some(next) => cuts += next + 1,
            None => return Err(Unfit::TooLarge(made.tokens())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weighed for u32 {
        fn tokens(&self) -> u32 {
            *self
        }
    }

    const WEIGHTS: [u32; 9] = [60, 55, 57, 40, 44, 41, 20, 25, 3];
    const SAVINGS: [u32; 8] = [5, 0, 14, 1, 1, 25, 0, 30];

    fn make(cuts: usize) -> Result<u32, ()> {
        Ok(WEIGHTS[cuts])
    }

    #[test]
    fn a_larger_budget_never_takes_more_cuts_even_where_a_cut_adds_words() {
        for by_savings in [false, true] {
            let mut before = usize::MAX;
            for available in 3..90 {
                let fitted = if by_savings {
                    fit_by_savings(WEIGHTS[0], &SAVINGS, available, make)
                } else {
                    fit(WEIGHTS[0], SAVINGS.len(), available, make)
                };
                let (tokens, cuts) = fitted.unwrap();
                assert!(cuts <= before, "{available}: {cuts} cuts after {before}");
                assert!(tokens <= available);
                before = cuts;
            }
            assert_eq!(before, 0);
        }
    }

    #[test]
    fn what_no_cut_makes_fit_says_how_much_it_needs() {
        assert!(matches!(fit(WEIGHTS[0], SAVINGS.len(), 2, make), Err(Unfit::TooLarge(3))));
        assert!(matches!(fit_by_savings(WEIGHTS[0], &SAVINGS, 2, make), Err(Unfit::TooLarge(3))));
    }
}
