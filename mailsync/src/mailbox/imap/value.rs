//! What IMAP responses are made of: words, strings, numbers, lists.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::Bytes;

/// One element of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A word: an atom, a number, a flag, `BODY[HEADER.FIELDS (SUBJECT)]`, `NIL`.
    Word(Box<str>),
    /// A string, quoted or literal.
    Text(Bytes),
    /// Between parentheses.
    List(Vec<Value>),
}

/// Lists in lists.
const DEPTH: usize = 32;

impl Value {
    /// Reads the elements of a whole response, up to its last CRLF.
    ///
    /// Lenient: only what cannot be taken apart at all is refused, so that an element nobody asked for costs nothing.
    ///
    /// # Errors
    /// In words.
    pub fn read(response: &Bytes) -> Result<Vec<Value>, &'static str> {
        let end = response.len().saturating_sub(usize::from(response.ends_with(b"\n")));
        let end = end.saturating_sub(usize::from(response.get(..end).is_some_and(|r| r.ends_with(b"\r"))));
        let mut open: Vec<Vec<Value>> = vec![Vec::new()];
        let mut at = 0usize;
        while let Some(&octet) = response.get(..end).and_then(|whole| whole.get(at)) {
            let value = match octet {
                b' ' => {
                    at = at.saturating_add(1);
                    continue;
                }
                b'(' => {
                    if open.len() > DEPTH {
                        return Err("lists nested too deep");
                    }
                    open.push(Vec::new());
                    at = at.saturating_add(1);
                    continue;
                }
                b')' => {
                    at = at.saturating_add(1);
                    let list =
                        open.pop().filter(|_| !open.is_empty()).ok_or("a list ends that never began")?;
                    Value::List(list)
                }
                b'"' => {
                    let (text, after) = quoted(response, at, end)?;
                    at = after;
                    Value::Text(text)
                }
                b'{' => {
                    let (text, after) = literal(response, at, end)?;
                    at = after;
                    Value::Text(text)
                }
                _ => {
                    let after = word(response, at, end);
                    let text = response.get(at..after).unwrap_or_default();
                    at = after;
                    Value::Word(String::from_utf8_lossy(text).into())
                }
            };
            open.last_mut().ok_or("a list ends that never began")?.push(value);
        }
        if open.len() != 1 {
            return Err("a list does not end");
        }
        open.pop().ok_or("nothing")
    }

    /// A word or string as text.
    pub fn text(&self) -> Option<String> {
        match self {
            Value::Word(word) => Some(word.to_string()),
            Value::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
            Value::List(_) => None,
        }
    }

    /// A word that is not `NIL`, or a string, as octets.
    pub fn octets(&self) -> Option<Bytes> {
        match self {
            Value::Word(word) if word.eq_ignore_ascii_case("NIL") => None,
            Value::Word(word) => Some(Bytes::copy_from_slice(word.as_bytes())),
            Value::Text(text) => Some(text.clone()),
            Value::List(_) => None,
        }
    }

    /// A word.
    pub fn word(&self) -> Option<&str> {
        match self {
            Value::Word(word) => Some(word),
            _ => None,
        }
    }

    /// Whether it is this word, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.word().is_some_and(|word| word.eq_ignore_ascii_case(name))
    }

    /// A number.
    pub fn number<N: std::str::FromStr>(&self) -> Option<N> {
        self.word()?.parse().ok()
    }

    /// A list.
    pub fn list(&self) -> Option<&[Value]> {
        match self {
            Value::List(list) => Some(list),
            _ => None,
        }
    }
}

/// A word ends at a blank or parenthesis that is not between its own brackets.
fn word(response: &[u8], start: usize, end: usize) -> usize {
    let mut brackets = 0usize;
    let mut at = start;
    while let Some(&octet) = response.get(..end).and_then(|whole| whole.get(at)) {
        match octet {
            b'[' => brackets = brackets.saturating_add(1),
            b']' => brackets = brackets.saturating_sub(1),
            b' ' | b'(' | b')' if brackets == 0 => break,
            _ => {}
        }
        at = at.saturating_add(1);
    }
    at
}

fn quoted(response: &Bytes, start: usize, end: usize) -> Result<(Bytes, usize), &'static str> {
    let first = start.saturating_add(1);
    let mut out = Vec::new();
    let mut at = first;
    loop {
        match response.get(..end).and_then(|whole| whole.get(at)) {
            None => return Err("a quoted string does not end"),
            Some(b'"') => {
                let after = at.saturating_add(1);
                let plain = out.len() == at.saturating_sub(first);
                return Ok((if plain { response.slice(first..at) } else { out.into() }, after));
            }
            Some(b'\\') => {
                at = at.saturating_add(1);
                let escaped = response.get(..end).and_then(|whole| whole.get(at));
                out.push(*escaped.ok_or("a quoted string does not end")?);
            }
            Some(&octet) => out.push(octet),
        }
        at = at.saturating_add(1);
    }
}

fn literal(response: &Bytes, start: usize, end: usize) -> Result<(Bytes, usize), &'static str> {
    let rest = response.get(start.saturating_add(1)..end).ok_or("a literal without a size")?;
    let brace = rest.iter().position(|&octet| octet == b'}').ok_or("a literal without a size")?;
    let digits = rest.get(..brace).and_then(|digits| std::str::from_utf8(digits).ok());
    let size: usize = digits
        .and_then(|digits| digits.trim_end_matches('+').parse().ok())
        .ok_or("a literal without a size")?;
    let mut from = start.saturating_add(brace).saturating_add(2);
    if response.get(from) == Some(&b'\r') {
        from = from.saturating_add(1);
    }
    if response.get(from) != Some(&b'\n') {
        return Err("a literal without a line end");
    }
    from = from.saturating_add(1);
    let to = from.checked_add(size).filter(|to| *to <= end).ok_or("a literal past the end")?;
    Ok((response.slice(from..to), to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Value>, &'static str> {
        Value::read(&Bytes::copy_from_slice(text.as_bytes()))
    }

    fn words(values: &[Value]) -> Vec<String> {
        values.iter().filter_map(Value::text).collect()
    }

    #[test]
    fn elements() {
        let values = read("* 12 FETCH (UID 3 FLAGS (\\Seen $x) BODY[HEADER.FIELDS (SUBJECT)] {4}\r\na)\"b X NIL \"q\\\"w\")\r\n").unwrap();
        assert_eq!(words(&values[..3]), ["*", "12", "FETCH"]);
        let list = values[3].list().unwrap();
        assert_eq!(list[1].number::<u32>(), Some(3));
        assert_eq!(words(list[3].list().unwrap()), ["\\Seen", "$x"]);
        assert!(list[4].is("body[header.fields (subject)]"));
        assert_eq!(list[5].octets().unwrap(), "a)\"b");
        assert_eq!((list[7].octets(), list[8].text().unwrap()), (None, "q\"w".to_owned()));
        assert_eq!(
            words(&read("a1 OK [COPYUID 1 2:3 4] done").unwrap()),
            ["a1", "OK", "[COPYUID 1 2:3 4]", "done"]
        );
    }

    #[test]
    fn threat_l1_broken_responses_are_errors() {
        for text in [
            "* (",
            "* )",
            "* \"x",
            "* \"x\\",
            "* {9}\r\nabc\r\n",
            "* {x}\r\n",
            "* {3}abc",
            "* {99999999999999999999}\r\n",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(read(&format!("* {}", "(".repeat(100_000))), Err("lists nested too deep"));
    }
}
