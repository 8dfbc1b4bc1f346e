//! Texts that try to break out of wherever they are written, in an order that is the same each time.

/// What means something to a terminal, a line reader, JSON, syslog or a browser.
const PARTS: [&str; 28] = [
    "\n",
    "\r",
    "\r\n",
    "\t",
    "\0",
    "\u{1b}[31m",
    "\u{1b}]0;title\u{7}",
    "\u{7f}",
    "\u{85}",
    "\u{9b}31m",
    "\u{2028}",
    "\u{2029}",
    "\u{202e}",
    "\u{2066}",
    "\u{200f}",
    "\u{feff}",
    "\"",
    "\\",
    "\\\"",
    "]",
    "[",
    "{",
    "}",
    "\",\"level\":\"ERROR\",\"x\":\"",
    "\n{\"level\":\"ERROR\"}\n",
    "\n<131>1 - - - - - - forged\n",
    "é🦀",
    "plain text ",
];

/// Xorshift, Marsaglia 2003: enough disorder, and no dependency.
#[derive(Debug)]
pub struct Hostile(u64);

impl Hostile {
    /// The same seed gives the same texts.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below this.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }

    /// A short text as a rule, now and then one of about 100 kB.
    pub fn text(&mut self) -> String {
        let mut text: String =
            (0..self.below(12)).map(|_| PARTS[self.below(PARTS.len())]).collect();
        if self.below(50) == 0 {
            let part = PARTS[self.below(PARTS.len())];
            text.push_str(&part.repeat(100_000 / part.len()));
        }
        text
    }
}
