//! The passwords that people choose most, from those that became known in breaches.
//!
//! `common/words.txt` has the 49,000 of `@zxcvbn-ts/language-common` 4.1.3 (MIT, `common/LICENSE`) that
//! have four characters or more, in lower case and sorted by bytes, and one famous passphrase. No crate
//! was found that carries as many and hands them out.

/// A word a line.
const WORDS: &[u8] = include_bytes!("common/words.txt");

/// The length of the longest word, in bytes.
pub(super) const LONGEST: usize = 28;

/// Whether this, in lower case, is one of them. The list is searched where it lies in the binary: a table
/// of it would cost every process more memory than this costs time.
pub(super) fn is_common(word: &[u8]) -> bool {
    let (mut low, mut high) = (0, WORDS.len());
    while low < high {
        let (start, end) = line_around(low + (high - low) / 2);
        match WORDS[start..end].cmp(word) {
            std::cmp::Ordering::Less => low = end + 1,
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Greater => high = start,
        }
    }
    false
}

fn line_around(position: usize) -> (usize, usize) {
    let is_end = |byte: &u8| *byte == b'\n';
    let start = WORDS[..position].iter().rposition(is_end).map_or(0, |end| end + 1);
    let rest = WORDS[position..].iter().position(is_end);
    (start, rest.map_or(WORDS.len(), |length| position + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> impl Iterator<Item = &'static [u8]> {
        WORDS.split(|byte| *byte == b'\n').filter(|word| !word.is_empty())
    }

    #[test]
    fn every_word_of_the_list_is_found() {
        assert!(words().count() > 49_000);
        for word in words() {
            assert!(is_common(word), "{}", String::from_utf8_lossy(word));
        }
    }

    #[test]
    fn what_is_not_on_the_list_is_not_found() {
        for word in ["", "\n", "0", "~~~~~", "passwordxq", "asswordpass", "ny9tk3wq8vh2bcxz", "ö"]
        {
            assert!(!is_common(word.as_bytes()), "{word}");
        }
    }

    #[test]
    fn the_list_is_sorted_in_lower_case_and_no_word_is_too_long() {
        let all: Vec<_> = words().collect();
        assert!(all.is_sorted());
        assert!(all.iter().all(|word| word.to_ascii_lowercase() == *word));
        assert_eq!(all.iter().map(|word| word.len()).max(), Some(LONGEST));
    }

    /// ASVS 5.0, 6.2.4 wants 3,000 that an operator's policy allows; below ten characters there are.
    #[test]
    fn thousands_of_the_words_have_eight_characters() {
        assert!(words().filter(|word| word.len() >= 8).count() > 15_000);
    }
}
