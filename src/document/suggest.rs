//! Did you mean: the known name that is nearest to one that is not known.

/// The nearest of the known names, where one is near enough to be what was meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(name);
    known
        .into_iter()
        .filter_map(|candidate| {
            let other = fold(candidate);
            let distance = strsim::damerau_levenshtein(&folded, &other);
            // A third of the letters may be wrong, and one of a short word.
            let allowed = (folded.chars().count().max(other.chars().count()) / 3).max(1);
            let shorter = folded.chars().count().min(other.chars().count());
            let begins = shorter >= 4 && (other.starts_with(&folded) || folded.starts_with(&other));
            let near = (distance <= allowed && distance < shorter) || begins;
            near.then_some((distance, candidate))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// The name without what people vary freely: case, `_`, `-` and spaces. Bounded, since the
/// comparison is quadratic.
fn fold(name: &str) -> String {
    name.chars()
        .filter(|letter| !matches!(letter, '_' | '-' | ' '))
        .take(64)
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn what_is_near_is_suggested_and_what_is_far_is_not() {
        let known = ["poll_every", "repos", "first_run", "ops-slack", "tag"];
        for (name, expected) in [
            ("pollEvery", Some("poll_every")),
            ("poll-every", Some("poll_every")),
            ("repo", Some("repos")),
            ("firstrun", Some("first_run")),
            ("ops-slak", Some("ops-slack")),
            ("tags", Some("tag")),
            ("receivers", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), expected, "for {name:?}");
        }
    }
}
