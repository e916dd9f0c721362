//! What a tokenizer of either spelling tells the builder.

use super::build::{Builder, Built};
use crate::error::DecodeErrorKind;
use crate::model::{Element, Page};
use crate::tables::Tag;
use bytes::Bytes;
use std::borrow::Cow;

/// One step through a document.
#[derive(Debug)]
pub(crate) enum Token<'a> {
    /// An element that the tables know, in its own vocabulary.
    Known(Tag, Attributes),
    /// Any other element, still without content.
    Unknown(Box<Element>),
    /// A piece of text; adjacent pieces belong together.
    Text(Text<'a>),
    /// The innermost open element ends.
    End,
    /// The document ended where it may.
    Eof,
}

/// Attributes other than `xmlns`; rare, hence boxed.
pub(crate) type Attributes = Option<Box<Vec<(Box<str>, Box<str>)>>>;

/// A piece of text.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    pub(crate) bytes: Cow<'a, [u8]>,
    /// It came as WBXML opaque.
    pub(crate) opaque: bool,
}

/// All the text of an element: one piece of the input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole<'a> {
    pub(crate) bytes: &'a [u8],
    /// It came as WBXML opaque.
    pub(crate) opaque: bool,
}

/// A tag, and nothing that needs another look.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Quick {
    /// An element that the tables know, without attributes.
    Start(Tag),
    /// The innermost open element ends.
    End,
    /// Anything else; no more than a switch of pages was taken.
    Other,
}

/// A document of one spelling, read token by token.
pub(crate) trait Tokenize<'a> {
    /// The next token where it is a plain tag.
    fn quick(&mut self) -> Quick;

    /// The next token.
    fn next(&mut self) -> Result<Token<'a>, DecodeErrorKind>;

    /// The whole text of the element that has just begun, and its end, where nothing else is in it. Otherwise takes
    /// nothing.
    fn whole_text(&mut self) -> Option<Whole<'a>>;

    /// Octets that string tables may still give, those of documents inside included.
    fn table_budget(&mut self) -> &mut usize;

    /// Octets from the start of the document to the last token.
    fn offset(&self) -> usize;
}

/// A document of either spelling.
pub(crate) enum Tokens<'a> {
    #[cfg(feature = "xml")]
    Xml(Box<crate::xml::reader::Tokenizer<'a>>),
    #[cfg(feature = "wbxml")]
    Wbxml(Box<crate::wbxml::reader::Tokenizer<'a>>),
    /// Keeps the type inhabited and its lifetime used without any spelling.
    #[cfg(not(any(feature = "xml", feature = "wbxml")))]
    None(usize, std::marker::PhantomData<&'a ()>),
}

impl<'a> Tokens<'a> {
    /// Reads on until something is finished, or the document ends.
    pub(crate) fn drive(&mut self, builder: &mut Builder<'a>) -> Result<Option<Built>, DecodeErrorKind> {
        match self {
            #[cfg(feature = "xml")]
            Tokens::Xml(tokens) => drive(&mut **tokens, builder),
            #[cfg(feature = "wbxml")]
            Tokens::Wbxml(tokens) => drive(&mut **tokens, builder),
            #[cfg(not(any(feature = "xml", feature = "wbxml")))]
            Tokens::None(budget, _) => builder.token(Token::Eof, budget),
        }
    }

    /// The next token.
    pub(crate) fn next(&mut self) -> Result<Token<'a>, DecodeErrorKind> {
        match self {
            #[cfg(feature = "xml")]
            Tokens::Xml(tokens) => tokens.next(),
            #[cfg(feature = "wbxml")]
            Tokens::Wbxml(tokens) => tokens.next(),
            #[cfg(not(any(feature = "xml", feature = "wbxml")))]
            Tokens::None(..) => Ok(Token::Eof),
        }
    }

    /// Octets that string tables may still give.
    pub(crate) fn table_budget(&mut self) -> usize {
        match self {
            #[cfg(feature = "xml")]
            Tokens::Xml(tokens) => *tokens.table_budget(),
            #[cfg(feature = "wbxml")]
            Tokens::Wbxml(tokens) => *tokens.table_budget(),
            #[cfg(not(any(feature = "xml", feature = "wbxml")))]
            Tokens::None(budget, _) => *budget,
        }
    }

    /// Octets from the start of the document to the last token.
    pub(crate) fn offset(&self) -> usize {
        match self {
            #[cfg(feature = "xml")]
            Tokens::Xml(tokens) => tokens.offset(),
            #[cfg(feature = "wbxml")]
            Tokens::Wbxml(tokens) => tokens.offset(),
            #[cfg(not(any(feature = "xml", feature = "wbxml")))]
            Tokens::None(..) => 0,
        }
    }
}

fn drive<'a, T: Tokenize<'a>>(
    tokens: &mut T,
    builder: &mut Builder<'a>,
) -> Result<Option<Built>, DecodeErrorKind> {
    while !builder.ended() {
        let built = match tokens.quick() {
            Quick::Start(tag) if builder.plain_leaf(tag) => None,
            Quick::Start(tag) => builder.start(tag)?,
            Quick::End if builder.plain_end() => continue,
            Quick::End => {
                let built = builder.end(tokens.table_budget())?;
                if built.is_some() {
                    return Ok(built);
                }
                continue;
            }
            Quick::Other => {
                let token = tokens.next()?;
                builder.token(token, tokens.table_budget())?
            }
        };
        if builder.wants_text() {
            match tokens.whole_text() {
                Some(text) => builder.whole_text(text, tokens.table_budget())?,
                None => builder.no_whole_text()?,
            }
        }
        if built.is_some() {
            return Ok(built);
        }
    }
    Ok(None)
}

/// Text of one element, gathered: a slice of the input as long as it came in one piece.
#[derive(Debug, Default)]
pub(crate) struct Gathered<'a> {
    pieces: Pieces<'a>,
    /// A piece of it came as WBXML opaque.
    pub(crate) opaque: bool,
}

#[derive(Debug, Default)]
enum Pieces<'a> {
    #[default]
    None,
    One(&'a [u8]),
    Joined(Vec<u8>),
}

impl<'a> From<Whole<'a>> for Gathered<'a> {
    #[inline]
    fn from(text: Whole<'a>) -> Self {
        let pieces = if text.bytes.is_empty() { Pieces::None } else { Pieces::One(text.bytes) };
        Gathered { pieces, opaque: text.opaque }
    }
}

impl<'a> Gathered<'a> {
    pub(crate) fn push(&mut self, text: Text<'a>) {
        self.opaque |= text.opaque;
        if text.bytes.is_empty() {
            return;
        }
        self.pieces = match (std::mem::take(&mut self.pieces), text.bytes) {
            (Pieces::None, Cow::Borrowed(bytes)) => Pieces::One(bytes),
            (Pieces::None, Cow::Owned(bytes)) => Pieces::Joined(bytes),
            (Pieces::One(first), bytes) => Pieces::Joined([first, &bytes].concat()),
            (Pieces::Joined(mut all), bytes) => {
                all.extend_from_slice(&bytes);
                Pieces::Joined(all)
            }
        };
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.pieces, Pieces::None)
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match &self.pieces {
            Pieces::None => &[],
            Pieces::One(bytes) => bytes,
            Pieces::Joined(bytes) => bytes,
        }
    }

    /// Octets that it took beside the input.
    #[inline]
    pub(crate) fn weight(&self) -> usize {
        match &self.pieces {
            Pieces::None | Pieces::One(_) => 0,
            Pieces::Joined(bytes) => bytes.capacity(),
        }
    }

    /// The octets, which are taken; a slice of `input` where they came in one piece.
    pub(crate) fn take_bytes(&mut self, input: &Bytes) -> Bytes {
        match std::mem::take(&mut self.pieces) {
            Pieces::None => Bytes::new(),
            Pieces::One(bytes) => share(input, bytes),
            Pieces::Joined(bytes) => Bytes::from(bytes),
        }
    }
}

/// `part` as a slice of `input`, or a copy if it lies elsewhere.
#[inline]
pub(crate) fn share(input: &Bytes, part: &[u8]) -> Bytes {
    let (start, at) = (input.as_ptr() as usize, part.as_ptr() as usize);
    match at.checked_sub(start) {
        Some(from) if from.checked_add(part.len()).is_some_and(|to| to <= input.len()) => {
            input.slice(from..from.saturating_add(part.len()))
        }
        _ => Bytes::copy_from_slice(part),
    }
}

/// Whether the octets are nothing but XML white space.
pub(crate) fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
}

/// The vocabulary that a namespace names; case does not count, nor what follows.
pub(crate) fn page_of_namespace(uri: &str) -> Option<Page> {
    match uri {
        "SYNCML:SYNCML1.2" => return Some(Page::SyncMl),
        "syncml:metinf" => return Some(Page::MetInf),
        "syncml:devinf" => return Some(Page::DevInf),
        _ => {}
    }
    // quirk: `syncml:syncml1.2`, versions that do not match, facts §1.
    let starts = |with: &str| uri.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with));
    if starts("SYNCML:SYNCML") {
        Some(Page::SyncMl)
    } else if starts("syncml:metinf") {
        Some(Page::MetInf)
    } else if starts("syncml:devinf") {
        Some(Page::DevInf)
    } else {
        None
    }
}

/// Adds to a list that starts small and grows by half: most lists have one element, and the largest decide
/// how much memory a message takes.
#[inline]
pub(crate) fn push_tight<T>(list: &mut Vec<T>, value: T) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 2).max(1));
    }
    list.push(value);
}
