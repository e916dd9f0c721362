//! The structures that can be open while a document is read.

use super::content::Content;
use super::data::DataBuild;
use super::layout::Layout;
use crate::model::*;
use crate::tables::Tag;

/// Something that is open, filled child by child. The large ones are boxed: a frame moves at every start and end.
#[derive(Debug)]
pub(crate) enum Frame {
    /// `SyncML`.
    Root,
    /// `SyncBody`.
    Body,
    Hdr(Box<SyncHdr>),
    Target(Target),
    Source(Source),
    Parent(Parent),
    Filter(Box<Filter>),
    Field(Box<Field>),
    Record(Box<Record>),
    Cred(Cred),
    Chal(Box<Chal>),
    Meta(Box<Meta>),
    Anchor(Anchor),
    Mem(Mem),
    Item(Box<Item>),
    Data(DataBuild),
    Change(Box<Change>),
    Alert(Box<Alert>),
    Exec(Box<Exec>),
    Get(Box<Get>),
    Results(Box<Results>),
    Map(Box<Map>),
    MapItem(Box<MapItem>),
    Search(Box<Search>),
    Status(Box<Status>),
    Sync(Box<Sync>),
    Nest(Box<Nest>),
    DevInf(Box<DevInf>),
    DataStore(Box<DataStore>),
    CtType(CtType),
    DsMem(DsMem),
    SyncCap(SyncCap),
    CtCap(Box<CtCap>),
    FlatCtCap(FlatCtCap),
    Property(Box<Property>),
    PropParam(Box<PropParam>),
    FilterCap(Box<FilterCap>),
    Ext(Ext),
    /// An element kept as it came.
    Unknown(Box<Element>),
}

/// Does something with whichever structure a frame holds.
macro_rules! on_content {
    ($frame:expr, $c:ident => $do:expr, _ => $other:expr) => {
        match $frame {
            Frame::Hdr($c) => $do,
            Frame::Target($c) => $do,
            Frame::Source($c) => $do,
            Frame::Parent($c) => $do,
            Frame::Filter($c) => $do,
            Frame::Field($c) => $do,
            Frame::Record($c) => $do,
            Frame::Cred($c) => $do,
            Frame::Chal($c) => $do,
            Frame::Meta($c) => $do,
            Frame::Anchor($c) => $do,
            Frame::Mem($c) => $do,
            Frame::Item($c) => $do,
            Frame::Change($c) => $do,
            Frame::Alert($c) => $do,
            Frame::Exec($c) => $do,
            Frame::Get($c) => $do,
            Frame::Results($c) => $do,
            Frame::Map($c) => $do,
            Frame::MapItem($c) => $do,
            Frame::Search($c) => $do,
            Frame::Status($c) => $do,
            Frame::Sync($c) => $do,
            Frame::Nest($c) => $do,
            Frame::DevInf($c) => $do,
            Frame::DataStore($c) => $do,
            Frame::CtType($c) => $do,
            Frame::DsMem($c) => $do,
            Frame::SyncCap($c) => $do,
            Frame::CtCap($c) => $do,
            Frame::FlatCtCap($c) => $do,
            Frame::Property($c) => $do,
            Frame::PropParam($c) => $do,
            Frame::FilterCap($c) => $do,
            Frame::Ext($c) => $do,
            Frame::Root | Frame::Body | Frame::Data(_) | Frame::Unknown(_) => $other,
        }
    };
}
pub(crate) use on_content;

impl Frame {
    /// The children it has; none where the builder knows them by itself.
    pub(crate) fn layout(&self) -> &'static Layout {
        on_content!(self, c => layout_of(c), _ => Layout::NONE)
    }
}

fn layout_of<T: Content>(_: &T) -> &'static Layout {
    T::LAYOUT
}

/// `SourceParent` and `TargetParent`: a `LocURI` alone.
#[derive(Debug, Default)]
pub(crate) struct Parent {
    pub(crate) loc_uri: Box<str>,
}

/// A structure of the model that a frame can hold.
pub(crate) trait Framed: Sized {
    fn blank() -> Frame;

    /// What the frame holds. A box stays with it, so that it can be used again.
    fn take(frame: &mut Frame) -> Option<Self>;

    /// Without a copy where the frame holds a box.
    fn take_box(frame: &mut Frame) -> Option<Box<Self>> {
        Self::take(frame).map(Box::new)
    }
}

macro_rules! framed {
    ($( $type:ident ),* ; boxed $( $boxed:ident ),* $(,)?) => {
        $(
            impl Framed for $type {
                fn blank() -> Frame { Frame::$type(Default::default()) }
                fn take(frame: &mut Frame) -> Option<Self> {
                    match std::mem::replace(frame, Frame::Root) { Frame::$type(value) => Some(value), _ => None }
                }
            }
        )*
        $(
            impl Framed for $boxed {
                fn blank() -> Frame { Frame::$boxed(Default::default()) }
                fn take(frame: &mut Frame) -> Option<Self> {
                    match frame { Frame::$boxed(value) => Some(std::mem::take(&mut **value)), _ => None }
                }
                fn take_box(frame: &mut Frame) -> Option<Box<Self>> {
                    match std::mem::replace(frame, Frame::Root) { Frame::$boxed(value) => Some(value), _ => None }
                }
            }
        )*
    };
}

framed! {
    Target, Source, Parent, Cred, Anchor, Mem, CtType, DsMem, SyncCap, FlatCtCap, Ext;
    boxed Filter, Field, Record, Chal, Meta, Item, MapItem, DataStore, CtCap, Property, PropParam, FilterCap,
}

/// Whether a start tag opens a command.
#[inline]
pub(crate) fn is_command(tag: Tag) -> bool {
    matches!(
        tag,
        Tag::Add
            | Tag::Alert
            | Tag::Atomic
            | Tag::Copy
            | Tag::Delete
            | Tag::Exec
            | Tag::Get
            | Tag::Map
            | Tag::Move
            | Tag::Put
            | Tag::Replace
            | Tag::Results
            | Tag::Search
            | Tag::Sequence
            | Tag::Status
            | Tag::Sync
    )
}

/// The frame that a command's start tag opens.
pub(crate) fn command_frame(tag: Tag) -> Option<Frame> {
    Some(match tag {
        Tag::Add | Tag::Copy | Tag::Delete | Tag::Move | Tag::Replace => Frame::Change(Box::default()),
        Tag::Alert => Frame::Alert(Box::default()),
        Tag::Atomic | Tag::Sequence => Frame::Nest(Box::default()),
        Tag::Exec => Frame::Exec(Box::default()),
        Tag::Get | Tag::Put => Frame::Get(Box::default()),
        Tag::Map => Frame::Map(Box::default()),
        Tag::Results => Frame::Results(Box::default()),
        Tag::Search => Frame::Search(Box::default()),
        Tag::Status => Frame::Status(Box::new(blank_status())),
        Tag::Sync => Frame::Sync(Box::default()),
        _ => return None,
    })
}

/// The command that a finished frame is.
#[inline]
pub(crate) fn into_command(tag: Tag, frame: Frame) -> Option<Command> {
    Some(match (tag, frame) {
        (Tag::Add, Frame::Change(c)) => Command::Add(c),
        (Tag::Copy, Frame::Change(c)) => Command::Copy(c),
        (Tag::Delete, Frame::Change(c)) => Command::Delete(c),
        (Tag::Move, Frame::Change(c)) => Command::Move(c),
        (Tag::Replace, Frame::Change(c)) => Command::Replace(c),
        (_, Frame::Alert(c)) => Command::Alert(c),
        (Tag::Atomic, Frame::Nest(c)) => Command::Atomic(c),
        (Tag::Sequence, Frame::Nest(c)) => Command::Sequence(c),
        (_, Frame::Exec(c)) => Command::Exec(c),
        (Tag::Get, Frame::Get(c)) => Command::Get(c),
        (Tag::Put, Frame::Get(c)) => Command::Put(c),
        (_, Frame::Map(c)) => Command::Map(c),
        (_, Frame::Results(c)) => Command::Results(c),
        (_, Frame::Search(c)) => Command::Search(c),
        (_, Frame::Status(c)) => Command::Status(c),
        (_, Frame::Sync(c)) => Command::Sync(c),
        _ => return None,
    })
}

pub(crate) fn blank_hdr() -> SyncHdr {
    SyncHdr {
        ver_dtd: Box::default(),
        ver_proto: Box::default(),
        session_id: Box::default(),
        msg_id: 0,
        target: Target::default(),
        source: Source::default(),
        resp_uri: None,
        no_resp: false,
        cred: None,
        meta: None,
        extra: None,
    }
}

fn blank_status() -> Status {
    let mut status = Status::new(0, 0, 0, CommandName::SyncHdr, StatusCode(0));
    status.msg_ref = None;
    status
}
