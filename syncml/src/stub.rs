#![allow(missing_docs, unused)]
use crate::*;
use bytes::Bytes;
#[derive(Debug)]
pub struct Writer;
impl Writer {
    pub fn new(e: Encoding, v: Version, l: usize) -> Self {
        Writer
    }
    pub fn header(&mut self, h: &SyncHdr) -> Result<(), EncodeError> {
        Ok(())
    }
    pub fn command(&mut self, c: &Command) -> Result<(), EncodeError> {
        Ok(())
    }
    pub fn open_sync(&mut self, s: &Sync) -> Result<(), EncodeError> {
        Ok(())
    }
    pub fn close_sync(&mut self) {}
    pub fn chunk(&mut self, c: &Command, m: bool) -> Result<usize, EncodeError> {
        Ok(0)
    }
    pub fn left(&self) -> usize {
        0
    }
    pub fn finish(self, f: bool) -> Bytes {
        Bytes::new()
    }
}
pub fn xml_can_carry(d: &[u8]) -> bool {
    true
}

#[derive(Clone, Debug, Default)]
pub struct Quirks;
pub fn decode(
    encoding: Encoding,
    bytes: &Bytes,
    limits: &Limits,
    quirks: &Quirks,
) -> Result<Message, DecodeError> {
    Err(DecodeError { encoding, kind: DecodeErrorKind::Incomplete, offset: 0, path: String::new() })
}
