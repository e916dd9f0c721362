//! Filters under any octets: expressions, and the options of old URIs.

use crate::{Broken, Property, Target, ensure};
use mailsync_proto::sync::filter::cgi::{Expr, MAX_LENGTH, MAX_TERMS};
use mailsync_proto::sync::filter::legacy::Options;

/// Octets as a filter.
pub const FILTER: Target = Target {
    name: "filter",
    input: "a filter expression, or what is behind the ? of a datastore's URI",
    dictionary: None,
    properties: &[
        Property {
            name: "bounded",
            sentence: "an expression is refused, or has at most so many terms as are allowed, each with a name",
            check: bounded,
        },
        Property {
            name: "one-answer",
            sentence: "an expression that reads says yes or no to any item, the same each time, and an expression \
                       and itself says what it alone says",
            check: one_answer,
        },
        Property {
            name: "options",
            sentence: "options of a URI are refused or read, and what they mean is no longer than what they say",
            check: options,
        },
    ],
};

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

fn bounded(data: &[u8]) -> Result<(), Broken> {
    let Some(text) = text(data) else { return Ok(()) };
    let Ok(expr) = Expr::parse(text) else { return Ok(()) };
    ensure!(text.len() <= MAX_LENGTH, "{} octets were read", text.len());
    let terms = expr.terms().count();
    ensure!((1..=MAX_TERMS).contains(&terms), "{terms} terms");
    ensure!(expr.terms().all(|term| !term.name.is_empty()), "a term without a name: {expr:?}");
    Ok(())
}

fn one_answer(data: &[u8]) -> Result<(), Broken> {
    let Some(text) = text(data) else { return Ok(()) };
    let Ok(expr) = Expr::parse(text) else { return Ok(()) };
    let values = |name: &str| match name.len() % 3 {
        0 => vec![],
        1 => vec![name.to_owned(), "20070808T000000Z".to_owned()],
        _ => vec![String::new(), "7".to_owned()],
    };
    let answer = expr.matches(values);
    ensure!(answer == expr.matches(values), "two answers: {expr:?}");
    let both = expr.clone().and(expr.clone());
    ensure!(both.matches(values) == answer, "{expr:?} and itself is another");
    Ok(())
}

fn options(data: &[u8]) -> Result<(), Broken> {
    let Some(text) = text(data) else { return Ok(()) };
    let Ok(options) = Options::parse(text) else { return Ok(()) };
    let said = options.record.as_ref().map_or(0, |expr| expr.terms().count());
    let meant = options.expr(1_000_000_000).map_or(0, |expr| expr.terms().count());
    ensure!(meant <= said + 4, "{meant} terms out of {said}");
    Ok(())
}
