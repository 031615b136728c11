//! Patterns for names: `*` is any text, `?` any character, `\` takes what follows as it is. Names
//! are full of brackets, so that these mean nothing.

/// A pattern for a whole name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Text,
    Any,
    This(char),
}

impl Glob {
    /// The pattern that a text means.
    pub fn new(pattern: &str) -> Self {
        let mut tokens = Vec::new();
        let mut characters = pattern.chars();
        while let Some(c) = characters.next() {
            tokens.push(match c {
                '*' => Token::Text,
                '?' => Token::Any,
                '\\' => Token::This(characters.next().unwrap_or('\\')),
                c => Token::This(c),
            });
        }
        tokens.dedup_by(|a, b| *a == Token::Text && *b == Token::Text);
        Self { tokens }
    }

    /// Whether the whole of `name` matches. Takes time by the product of both lengths at worst:
    /// only the last `*` is ever gone back to.
    pub fn matches(&self, name: &str) -> bool {
        let (mut at, mut rest) = (0, name);
        let mut back: Option<(usize, &str)> = None;
        loop {
            let next = rest.chars().next();
            match (self.tokens.get(at), next) {
                (Some(Token::Text), _) => {
                    at += 1;
                    back = Some((at, rest));
                    continue;
                }
                (Some(Token::Any), Some(c)) => {
                    at += 1;
                    rest = &rest[c.len_utf8()..];
                    continue;
                }
                (Some(Token::This(wanted)), Some(c)) if *wanted == c => {
                    at += 1;
                    rest = &rest[c.len_utf8()..];
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            // The last `*` takes a character more.
            let Some((after, from)) = back else { return false };
            let Some(c) = from.chars().next() else { return false };
            rest = &from[c.len_utf8()..];
            at = after;
            back = Some((after, rest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_match() {
        for (pattern, name, expected) in [
            ("parse", "parse", true),
            ("parse", "parse_all", false),
            ("parse*", "parse_all", true),
            ("*parse", "re_parse", true),
            ("*::Vec<*>::push", "alloc::Vec<u8>::push", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "abba", false),
            ("f?", "fé", true),
            ("f?", "f", false),
            ("[libc.so.6]", "[libc.so.6]", true),
            ("operator\\*", "operator*", true),
            ("operator\\*", "operator+", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("\\", "\\", true),
        ] {
            assert_eq!(Glob::new(pattern).matches(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_exponential_time() {
        let pattern = "*a".repeat(2000);
        assert!(!Glob::new(&pattern).matches(&"a".repeat(1999)));
        assert!(!Glob::new(&format!("{pattern}b")).matches(&"a".repeat(4000)));
    }
}
