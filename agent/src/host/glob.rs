//! Patterns of glob(7), as sshd_config(5) and sudoers(5) have them, for finding what they may mean: a slash is a character like any other here.

use std::collections::BTreeSet;

/// Whether a text fits a pattern in which `*` and `?` stand for something. A set in brackets fits any character.
pub fn fits(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = unset(pattern);
    let name: Vec<char> = name.chars().collect();
    // Each place in the pattern that can be reached by the characters so far.
    let reach = |mut at: BTreeSet<usize>| {
        let mut further: Vec<usize> = at.iter().copied().collect();
        while let Some(place) = further.pop() {
            if pattern.get(place) == Some(&'*') && at.insert(place + 1) {
                further.push(place + 1);
            }
        }
        at
    };
    let mut places = reach(BTreeSet::from([0]));
    for c in name {
        let next = places.iter().filter_map(|&place| match pattern.get(place)? {
            '*' => Some(place),
            '?' => Some(place + 1),
            literal => (*literal == c).then_some(place + 1),
        });
        places = reach(next.collect());
    }
    places.contains(&pattern.len())
}

fn unset(pattern: &str) -> Vec<char> {
    let (mut all, mut inside) = (Vec::new(), false);
    for c in pattern.chars() {
        match (inside, c) {
            (false, '[') => {
                inside = true;
                all.push('?');
            }
            (true, ']') => inside = false,
            (true, _) => {}
            (false, c) => all.push(c),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_globs_do() {
        for (pattern, name, fit) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.bak", false),
            ("[0-9]?-*.conf", "10-a.conf", true),
            ("[0-9]?-*.conf", "1-a.conf", false),
            ("*", "", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
        ] {
            assert_eq!(fits(pattern, name), fit, "{pattern} {name}");
        }
    }
}
