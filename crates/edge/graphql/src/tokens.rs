//! A look at a query's text before the parser sees it.
//!
//! The parser calls itself for every bracket, and the checks of a document take more than linear time. The parser
//! library watches its stack, but how deep that lets it go depends on the thread, and it does not tell why it stopped.
//! Once brackets and tokens are counted, neither matters, and the client learns which limit it met.

use crate::error::EdgeError;

/// Brackets within each other: what the parser allows selections in its second pass.
pub(crate) const NESTING_MAX: usize = 64;
/// Names, numbers, strings and signs of a query.
pub(crate) const TOKENS_MAX: usize = 4_000;

/// Counts a query's brackets and tokens (GraphQL, October 2021, section 2.1).
///
/// # Errors
/// [`EdgeError::TooDeep`] or [`EdgeError::TooComplex`]. A query that is no GraphQL may pass: that is for the parser
/// to say, which gets no further into it than this has looked.
pub(crate) fn check(query: &str) -> Result<(), EdgeError> {
    let mut rest = query.as_bytes();
    let (mut nesting, mut tokens) = (0usize, 0usize);
    while let [first, ..] = *rest {
        let length = match first {
            b' ' | b',' | b'\t' | b'\r' | b'\n' => {
                rest = &rest[1..];
                continue;
            }
            b'#' => {
                rest = &rest[run(rest, |byte| byte != b'\n' && byte != b'\r')..];
                continue;
            }
            b'"' => match string(rest) {
                Some(length) => length,
                // The parser stops here as well.
                None => return Ok(()),
            },
            b'{' | b'[' | b'(' => {
                nesting += 1;
                1
            }
            b'}' | b']' | b')' => {
                nesting = nesting.saturating_sub(1);
                1
            }
            // A byte order mark, which is a blank; anything else is refused by the parser.
            0x80.. => run(rest, |byte| !byte.is_ascii()),
            _ => run(rest, |byte| byte.is_ascii_alphanumeric() || byte == b'_').max(1),
        };
        tokens += 1;
        if nesting > NESTING_MAX {
            return Err(EdgeError::TooDeep { limit: NESTING_MAX });
        }
        if tokens > TOKENS_MAX {
            return Err(EdgeError::TooComplex { limit: TOKENS_MAX });
        }
        rest = &rest[length..];
    }
    Ok(())
}

fn run(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| !belongs(*byte)).unwrap_or(bytes.len())
}

/// The length of the string that begins here; nothing if it has no end.
fn string(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(b"\"\"\"")
        && let Some(length) = block_string(bytes)
    {
        return Some(length);
    }
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\r' | b'\n' => return None,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn block_string(bytes: &[u8]) -> Option<usize> {
    let mut at = 3;
    loop {
        let rest = bytes.get(at..)?;
        match rest {
            [] => return None,
            [b'"', b'"', b'"', ..] => return Some(at + 3),
            [b'\\', b'"', b'"', b'"', ..] => at += 4,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(open: &str, close: &str, levels: usize) -> String {
        [open.repeat(levels), close.repeat(levels)].concat()
    }

    #[test]
    fn counts_brackets_outside_of_strings_and_comments() {
        let deep = EdgeError::TooDeep { limit: NESTING_MAX };
        for (open, close) in [("{", "}"), ("[", "]"), ("(", ")"), ("{a(b:[", "])}")] {
            assert_eq!(check(&nested(open, close, NESTING_MAX / open.len().min(3))), Ok(()), "{open}");
            assert_eq!(check(&nested(open, close, 100_000)), Err(deep.clone()), "{open}");
        }
        let many = "{".repeat(NESTING_MAX + 1);
        for hidden in [
            format!("{{ a(b: \"{many}\") }}"),
            format!("{{ a(b: \"\\\"{many}\") }}"),
            format!("{{ a(b: \"\"\"{many} \" \\\"\"\" {many}\"\"\") }}"),
            format!("{{ a # {many}\n }}"),
        ] {
            assert_eq!(check(&hidden), Ok(()), "{hidden}");
        }
        for bare in [
            format!("{{ a(b: \"\") {many}"),
            format!("{{ a(b: \"\"\"\"\"\") {many}"),
            // A block string without an end is an empty string and the beginning of another one.
            format!("{{ a(b: [\"\"\" \" {many}"),
            format!("{{ a # \" \r {many}"),
        ] {
            assert_eq!(check(&bare), Err(deep.clone()), "{bare}");
        }
    }

    #[test]
    fn counts_tokens() {
        assert_eq!(check(&"a ".repeat(TOKENS_MAX)), Ok(()));
        assert_eq!(check(&"a ".repeat(TOKENS_MAX + 1)), Err(EdgeError::TooComplex { limit: TOKENS_MAX }));
        assert_eq!(check(&" \t,#é\r\n".repeat(TOKENS_MAX + 1)), Ok(()));
        assert_eq!(check(&"é".repeat(TOKENS_MAX + 1)), Ok(()));
        assert!(check(&"a\u{feff}".repeat(TOKENS_MAX)).is_err());
        assert_eq!(check(""), Ok(()));
        assert_eq!(check("\"\\"), Ok(()));
    }
}
