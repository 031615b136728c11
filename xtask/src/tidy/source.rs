//! One file of the tree, and its code alone: comments, texts and characters blanked, so that a
//! rule looks at code and not at what is said of it.

/// A text file.
pub(super) struct Source {
    /// From the workspace's root.
    pub(super) path: String,
    /// As it stands.
    pub(super) text: String,
    /// Rust code with comments and literals blanked, line for line; of other files, nothing.
    pub(super) code: String,
    /// As before, without what is compiled for tests alone.
    pub(super) code_without_tests: String,
}

impl Source {
    /// A file with this path and text.
    pub(super) fn new(path: &str, text: String) -> Self {
        let code = if has_extension(path, &["rs"]) { blank_literals(&text) } else { String::new() };
        // A file of tests alone is a module under `#[cfg(test)]` elsewhere.
        let is_tests = path.ends_with("_tests.rs");
        let code_without_tests = if is_tests { String::new() } else { blank_tests(&code) };
        Self { path: path.to_owned(), text, code, code_without_tests }
    }

    /// Whether it is Rust.
    pub(super) fn is_rust(&self) -> bool {
        has_extension(&self.path, &["rs"])
    }

    /// Whether it is code that people read.
    pub(super) fn is_code(&self) -> bool {
        has_extension(&self.path, &["rs", "js", "mjs"])
    }

    /// Whether the first thing in it is `//!`.
    pub(super) fn starts_with_module_docs(&self) -> bool {
        let first = self.text.lines().find(|line| !line.trim().is_empty());
        first.is_some_and(|line| line.starts_with("//!"))
    }

    /// Its module path in flame-userspace; empty for lib.rs, `main` for main.rs.
    pub(super) fn module(&self) -> Option<Vec<String>> {
        let path = self.path.strip_prefix("flame-userspace/src/")?.strip_suffix(".rs")?;
        let mut segments: Vec<String> = path.split('/').map(str::to_owned).collect();
        if segments.last().is_some_and(|last| last == "mod") || segments == ["lib"] {
            segments.pop();
        }
        Some(segments)
    }
}

fn has_extension(path: &str, extensions: &[&str]) -> bool {
    path.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
}

/// The text with comments and the insides of literals as spaces; lines stay lines.
fn blank_literals(text: &str) -> String {
    let mut blanked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = literal_length(rest, blanked.chars().next_back());
        if length == 0 {
            blanked.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            blanked.extend(rest[..length].chars().map(blank));
            rest = &rest[length..];
        }
    }
    blanked
}

fn blank(c: char) -> char {
    if c == '\n' { c } else { ' ' }
}

/// The length of the comment or literal that the text starts with; 0 if it starts with none.
fn literal_length(text: &str, before: Option<char>) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment_length(text);
    }
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !in_word && let Some(length) = raw_string_length(text) {
        return length;
    }
    if text.starts_with('"') {
        return escaped_length(text, '"');
    }
    // 'a' and '\n' are characters, 'a is a lifetime.
    let mut characters = text.chars();
    if characters.next() == Some('\'') {
        let is_character = matches!(
            (characters.next(), characters.next()),
            (Some('\\'), _) | (Some(_), Some('\''))
        );
        return if is_character { escaped_length(text, '\'') } else { 0 };
    }
    0
}

/// The length of a literal with escapes, up to its closing quote.
fn escaped_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Block comments nest.
fn block_comment_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The length of `r"…"`, `r#"…"#` and their byte and C forms.
fn raw_string_length(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix("cr"));
    let after = after.or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let inside = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = text.len() - inside.len();
    Some(inside.find(&end).map_or(text.len(), |at| start + at + end.len()))
}

/// The code with each item under `#[cfg(test)]` blanked.
fn blank_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut blanked = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        let (before, item) = rest.split_at(at);
        let (item, after) = item.split_at(item_length(item));
        blanked.push_str(before);
        blanked.extend(item.chars().map(blank));
        rest = after;
    }
    blanked + rest
}

/// The length of an item: to its `;`, or to the brace that closes its first.
fn item_length(item: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in item.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    item.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_lines_stay() {
        let same = |code: &str, blanked: &str| {
            assert_eq!(blank_literals(code), blanked, "{code}");
        };
        same("a // b\nc", "a     \nc");
        same("a /* b /* c */ d */ e", "a                   e");
        same("f(\"a\\\"b\", c)", "f(      , c)");
        same("r#\"a\"b\"# c", "         c");
        same("bar\"x\"", "bar   ");
        same("'a' 'b '\\'' &'c d", "    'b      &'c d");
        same("\"unclosed\nline", "         \n    ");
        same("é'é'", "é   ");
    }

    #[test]
    fn items_for_tests_alone_are_blanked() {
        let code =
            "a();\n#[cfg(test)]\nmod tests {\n fn f() { g() }\n}\nb();\n#[cfg(test)]\nuse c;\nd();";
        let blanked = blank_tests(code);
        let words: Vec<&str> = blanked.split_whitespace().collect();
        assert_eq!(words, ["a();", "b();", "d();"]);
        assert_eq!(blanked.lines().count(), code.lines().count());
    }

    #[test]
    fn a_file_knows_its_module() {
        let module = |path: &str| Source::new(path, String::new()).module();
        let path = |segments: &[&str]| Some(segments.iter().map(ToString::to_string).collect());
        assert_eq!(module("flame-userspace/src/lib.rs"), path(&[]));
        assert_eq!(module("flame-userspace/src/main.rs"), path(&["main"]));
        assert_eq!(module("flame-userspace/src/error.rs"), path(&["error"]));
        assert_eq!(module("flame-userspace/src/format/mod.rs"), path(&["format"]));
        assert_eq!(
            module("flame-userspace/src/format/svg/draw.rs"),
            path(&["format", "svg", "draw"])
        );
        assert_eq!(module("flame-userspace/build.rs"), None);
        assert_eq!(module("xtask/src/main.rs"), None);
    }
}
