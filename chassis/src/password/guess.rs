//! How soon a password is guessed by whoever knows how people make passwords: from a common one, a row of
//! keys, a sequence or a year, repeated or padded.
//!
//! A list of the commonest passwords has few long ones, because until now few had to be long; what people
//! make of a short one when a long one is asked for is what is looked for here. It is an estimate of
//! guesses, not a rule of composition: any characters will do, as long as they are not these.
//! `zxcvbn`, which estimates the same in more detail, takes a second for 100 hostile characters.

use super::common::{LONGEST, is_common};

/// Guesses are counted in tenths of decimal digits: 80 are a hundred million.
pub(super) type Guesses = u32;

/// A common password: some ten thousand. Those at the end of the list are that rare only by rank.
const WORD: Guesses = 40;
/// A run along the alphabet or the keyboard, or of one character: where it begins, how long it is.
const RUN: Guesses = 20;
/// Of the last or this century.
const YEAR: Guesses = 20;
/// What stands before it once more, or several times.
const REPETITION: Guesses = 10;
/// Any single digit, letter, or other character.
const DIGIT: Guesses = 10;
const LETTER: Guesses = 14;
const OTHER: Guesses = 20;

/// A shorter run is no pattern.
const RUN_MIN: usize = 3;

/// Where so many characters are a pattern, the rest does not matter; and the work grows with the square.
const LOOKED_AT: usize = 256;

/// Rows of keys, as fingers run along them: English, German and French rows, columns and zigzags.
const ROWS: [&str; 8] = [
    "1234567890-=",
    "1234567890qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "qazwsxedcrfvtgbyhnujmikolp",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
];

/// The fewest guesses that find the password, made of whatever pieces are guessed first; `None` where no
/// piece is found sooner than its single characters, and only its length counts.
pub(super) fn guesses(password: &str) -> Option<Guesses> {
    let text: Vec<char> = password.chars().flat_map(char::to_lowercase).take(LOOKED_AT).collect();
    let mut best = vec![Guesses::MAX; text.len() + 1];
    best[0] = 0;
    let repetitions = repetitions(&text);
    for start in 0..text.len() {
        let so_far = best[start];
        let mut reach = |end: usize, cost: Guesses| {
            best[end] = best[end].min(so_far.saturating_add(cost));
        };
        reach(start + 1, single(text[start]));
        for end in words(&text, start) {
            reach(end, WORD);
        }
        for end in start + RUN_MIN..=start + run(&text[start..]) {
            reach(end, RUN);
        }
        if is_year(&text[start..]) {
            reach(start + 4, YEAR);
        }
        if repetitions[start] > 0 {
            reach(start + repetitions[start], REPETITION);
        }
    }
    let singly = text.iter().map(|c| single(*c)).sum();
    Some(best[text.len()]).filter(|fewest| *fewest < singly)
}

fn single(c: char) -> Guesses {
    match c {
        '0'..='9' => DIGIT,
        'a'..='z' => LETTER,
        _ => OTHER,
    }
}

/// Where the common passwords end that begin at `start`; all are ASCII.
fn words(text: &[char], start: usize) -> Vec<usize> {
    let candidates = text[start..].iter().take(LONGEST).map_while(|c| u8::try_from(*c).ok());
    let candidates: Vec<u8> = candidates.take_while(u8::is_ascii).collect();
    let lengths = (4..=candidates.len()).filter(|length| is_common(&candidates[..*length]));
    lengths.map(|length| start + length).collect()
}

/// The length of the longest run that the text begins with.
fn run(text: &[char]) -> usize {
    let steps = [-1, 0, 1].map(|step| {
        let follows = |pair: &[char]| step_between(pair[0], pair[1]) == Some(step);
        1 + text.windows(2).take_while(|pair| follows(pair)).count()
    });
    let rows = ROWS.iter().map(|row| {
        let forwards: Vec<char> = row.chars().collect();
        let backwards: Vec<char> = row.chars().rev().collect();
        along(text, &forwards).max(along(text, &backwards))
    });
    steps.into_iter().chain(rows).max().unwrap_or_default()
}

/// How far it is from one character to the next of a sequence, in which 0 comes after 9.
fn step_between(one: char, other: char) -> Option<i32> {
    match (one, other) {
        ('9', '0') => Some(1),
        ('0', '9') => Some(-1),
        _ => {
            let step =
                i32::try_from(u32::from(other)).ok()? - i32::try_from(u32::from(one)).ok()?;
            let alike = one.is_ascii_digit() == other.is_ascii_digit();
            (step == 0 || (alike && one.is_alphanumeric())).then_some(step)
        }
    }
}

fn along(text: &[char], row: &[char]) -> usize {
    let Some(at) = text.first().and_then(|first| row.iter().position(|key| key == first)) else {
        return 0;
    };
    text.iter().zip(&row[at..]).take_while(|(one, other)| one == other).count()
}

fn is_year(text: &[char]) -> bool {
    matches!(text, ['1', '9', ..] | ['2', '0', ..])
        && text.len() >= 4
        && text[..4].iter().all(char::is_ascii_digit)
}

/// At each place, for how long the text goes on as it did just before, by a whole repetition or more.
fn repetitions(text: &[char]) -> Vec<usize> {
    let mut found = vec![0; text.len()];
    for period in 1..=text.len() / 2 {
        let mut same = 0;
        for start in (period..text.len()).rev() {
            same = if text[start] == text[start - period] { same + 1 } else { 0 };
            if same >= period {
                found[start] = same.max(found[start]);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_found(password: &str) -> bool {
        guesses(password).is_some_and(|guesses| guesses <= 80)
    }

    #[test]
    fn what_people_make_of_a_common_password_is_found_within_a_hundred_million_guesses() {
        for password in [
            "passwordpassword",
            "password password password",
            "Password12345678",
            "passwordletmein",
            "letmeinletmeinletmein1",
            "administrator123",
            "dragon2024dragon2024",
            "summer2024summer2024",
            "123456789012345",
            "543210987654321",
            "abcdefghijklmno",
            "aaaaaaaaaaaaaaa",
            "ööööööööööööööö",
            "abababababababab",
            "abcabcabcabcabcabc",
            "qwertyuiopasdfgh",
            "qwertzuiopasdfgh",
            "poiuytrewqlkjhgf",
            "1qaz2wsx3edc4rfv",
            "1q2w3e4r5t6y7u8i",
            "1111112222223333",
            "qwerty123456789",
            "monkey!!!!!!!!!!",
            "2001200220032004",
            "correct horse battery staple",
        ] {
            assert!(is_found(password), "{password}: {:?}", guesses(password));
        }
    }

    #[test]
    fn what_nobody_would_think_of_is_not() {
        for password in [
            "a quiet bench above the river",
            "a quiet heron by the weir",
            "seven quiet lamps under the bridge",
            "the first of two passwords",
            "another long one",
            "ny9tk3wq8vh2bcxz",
            "58209384750293",
            "fqz7kzpw",
            "58709346",
            "hx7q",
            "снег на старом мосту",
            "静かな川のほとりの鷺",
            "é漢字😀ß",
        ] {
            assert!(!is_found(password), "{password}: {:?}", guesses(password));
        }
    }

    #[test]
    fn any_text_has_an_estimate() {
        let long = "4@8({[<3691".repeat(400);
        for text in ["a", "0a", "19", "20a", "\u{130}", "\0\0", &"ab".repeat(2000), &long] {
            assert_ne!(guesses(text), Some(0), "{text}");
        }
        assert_eq!(guesses(""), None);
    }
}
