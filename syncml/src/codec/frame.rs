//! The structures that can be open while a document is read.

use super::data::DataBuild;
use crate::model::*;
use crate::tables::Tag;

/// Something that is open, filled child by child.
#[derive(Debug)]
pub(crate) enum Frame {
    /// `SyncML`.
    Root,
    /// `SyncBody`.
    Body,
    Hdr(SyncHdr),
    Target(Target),
    Source(Source),
    Parent(Parent),
    Filter(Filter),
    Field(Field),
    Record(Record),
    Cred(Cred),
    Chal(Chal),
    Meta(Meta),
    Anchor(Anchor),
    Mem(Mem),
    Item(Item),
    Data(DataBuild),
    Change(Change),
    Alert(Alert),
    Exec(Exec),
    Get(Get),
    Results(Results),
    Map(Map),
    MapItem(MapItem),
    Search(Search),
    Status(Status),
    Sync(Sync),
    Nest(Nest),
    DevInf(Box<DevInf>),
    DataStore(Box<DataStore>),
    CtType(CtType),
    DsMem(DsMem),
    SyncCap(SyncCap),
    CtCap(CtCap),
    FlatCtCap(FlatCtCap),
    Property(Property),
    PropParam(PropParam),
    FilterCap(FilterCap),
    Ext(Ext),
    /// An element kept as it came.
    Unknown(Element),
}

/// `SourceParent` and `TargetParent`: a `LocURI` alone.
#[derive(Debug, Default)]
pub(crate) struct Parent {
    pub(crate) loc_uri: Box<str>,
}

/// A structure of the model that a frame can hold.
pub(crate) trait Framed: Sized {
    fn blank() -> Frame;
    fn from_frame(frame: Frame) -> Option<Self>;
}

macro_rules! framed {
    ($( $type:ident = $variant:ident $blank:expr ),* $(,)?) => { $(
        impl Framed for $type {
            fn blank() -> Frame { Frame::$variant($blank) }
            fn from_frame(frame: Frame) -> Option<Self> {
                match frame { Frame::$variant(value) => Some(value), _ => None }
            }
        }
    )* };
}

framed! {
    Target = Target Target::default(), Source = Source Source::default(), Parent = Parent Parent::default(),
    Filter = Filter Filter::default(), Field = Field Field::default(), Record = Record Record::default(),
    Cred = Cred Cred::default(), Chal = Chal Chal::default(), Meta = Meta Meta::default(),
    Anchor = Anchor Anchor::default(), Mem = Mem Mem::default(), Item = Item Item::default(),
    MapItem = MapItem MapItem::default(), CtType = CtType CtType::default(), DsMem = DsMem DsMem::default(),
    SyncCap = SyncCap SyncCap::default(), CtCap = CtCap CtCap::default(),
    FlatCtCap = FlatCtCap FlatCtCap::default(), Property = Property Property::default(),
    PropParam = PropParam PropParam::default(), FilterCap = FilterCap FilterCap::default(),
    Ext = Ext Ext::default(),
}

impl Framed for DataStore {
    fn blank() -> Frame {
        Frame::DataStore(Box::default())
    }

    fn from_frame(frame: Frame) -> Option<Self> {
        match frame {
            Frame::DataStore(value) => Some(*value),
            _ => None,
        }
    }
}

/// The frame that a command's start tag opens.
pub(crate) fn command_frame(tag: Tag) -> Option<Frame> {
    Some(match tag {
        Tag::Add | Tag::Copy | Tag::Delete | Tag::Move | Tag::Replace => Frame::Change(Change::default()),
        Tag::Alert => Frame::Alert(Alert::default()),
        Tag::Atomic | Tag::Sequence => Frame::Nest(Nest::default()),
        Tag::Exec => Frame::Exec(Exec::default()),
        Tag::Get | Tag::Put => Frame::Get(Get::default()),
        Tag::Map => Frame::Map(Map::default()),
        Tag::Results => Frame::Results(Results::default()),
        Tag::Search => Frame::Search(Search::default()),
        Tag::Status => Frame::Status(blank_status()),
        Tag::Sync => Frame::Sync(Sync::default()),
        _ => return None,
    })
}

/// The command that a finished frame is, or the frame again.
#[expect(clippy::result_large_err, reason = "the frame goes on to its parent")]
pub(crate) fn into_command(tag: Tag, frame: Frame) -> Result<Command, Frame> {
    Ok(match (tag, frame) {
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
        (_, frame) => return Err(frame),
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
