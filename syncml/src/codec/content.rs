//! Which child fills which field, and the canonical order: the only place that maps elements to the model.

use super::frame::{Frame, Parent};
use super::layout::{Kind, Layout, Shape, in_order, shape_of};
use super::sink::Sink;
use super::slot::{Bad, Base64, InLocUri, Plain, Slot, Via};
use super::token::{Gathered, push_tight};
use crate::error::EncodeError;
use crate::model::*;
use crate::tables::Tag;
use bytes::Bytes;

/// A structure with a content model. The commands inside `Sync` and `Nest` are the builder's.
pub(crate) trait Content {
    /// Octets that it takes, what it owns left out.
    const SIZE: usize;

    /// Its children.
    const LAYOUT: &'static Layout;

    fn text(&mut self, tag: Tag, text: &mut Gathered<'_>, input: &Bytes) -> Result<(), Bad>;
    fn attach(&mut self, tag: Tag, frame: &mut Frame);
    /// Where unknown children are kept, if they can be.
    fn extra_mut(&mut self) -> Option<&mut Extra>;
    fn extra(&self) -> &Extra;
    /// Writes the known children in canonical order.
    fn fields<S: Sink>(&self, sink: &mut S) -> Result<(), EncodeError>;
}

/// Writes a structure.
pub(crate) fn emit<T: Content, S: Sink>(value: &T, tag: Tag, sink: &mut S) -> Result<(), EncodeError> {
    sink.open(tag);
    value.fields(sink)?;
    emit_extra(value.extra(), sink)?;
    sink.close(tag);
    Ok(())
}

/// Writes unknown children.
pub(crate) fn emit_extra<S: Sink>(extra: &Extra, sink: &mut S) -> Result<(), EncodeError> {
    extra.iter().flat_map(|elements| elements.iter()).try_for_each(|element| sink.element(element))
}

macro_rules! content {
    (@via) => { Plain };
    (@via $via:ident) => { $via };
    (@extra_mut $self:ident) => { None };
    (@extra_mut $self:ident $extra:ident) => { Some(&mut $self.$extra) };
    (@extra $self:ident) => { &None };
    (@extra $self:ident $extra:ident) => { &$self.$extra };
    ($(
        $type:ident { $( $tag:ident: $($field:ident).+ $(via $via:ident)? ),* $(,)? } $(+ $extra:ident)?
    )*) => { $(
        impl Content for $type {
            const SIZE: usize = size_of::<$type>();

            const LAYOUT: &'static Layout = &Layout::new(
                const { &in_order([ $( shape_of(content!(@via $($via)?), |s: &$type| &s.$($field).+, Tag::$tag) ),* ]) },
            );

            fn text(&mut self, tag: Tag, text: &mut Gathered<'_>, input: &Bytes) -> Result<(), Bad> {
                match tag {
                    $( Tag::$tag => <content!(@via $($via)?) as Via<_>>::text(&mut self.$($field).+, text, input), )*
                    _ => Err(Bad("not a child")),
                }
            }

            fn attach(&mut self, tag: Tag, frame: &mut Frame) {
                match tag {
                    $( Tag::$tag => <content!(@via $($via)?) as Via<_>>::attach(&mut self.$($field).+, frame), )*
                    _ => {}
                }
            }

            fn extra_mut(&mut self) -> Option<&mut Extra> {
                content!(@extra_mut self $($extra)?)
            }

            fn extra(&self) -> &Extra {
                content!(@extra self $($extra)?)
            }

            fn fields<S: Sink>(&self, sink: &mut S) -> Result<(), EncodeError> {
                $( <content!(@via $($via)?) as Via<_>>::emit(&self.$($field).+, Tag::$tag, sink)?; )*
                Ok(())
            }
        }
    )* };
}

// spec: facts §3 (SyncML), §4 (MetInf), §5.1 (DevInf): children in the order of the DTDs.
content! {
    SyncHdr {
        VerDtd: ver_dtd, VerProto: ver_proto, SessionId: session_id, MsgId: msg_id, Target: target,
        Source: source, RespUri: resp_uri, NoResp: no_resp, Cred: cred, Meta: meta,
    } + extra
    Target { LocUri: loc_uri, LocName: loc_name, Filter: filter } + extra
    Source { LocUri: loc_uri, LocName: loc_name } + extra
    Parent { LocUri: loc_uri }
    Filter { Meta: meta, Field: field, Record: record, FilterType: filter_type } + extra
    Field { Item: item }
    Record { Item: item }
    Cred { Meta: meta, Data: data } + extra
    Chal { Meta: meta } + extra
    Meta {
        MetaFieldLevel: field_level, Format: format, Type: type_, Mark: mark, Size: size, Anchor: anchor,
        Version: version, NextNonce: next_nonce via Base64, MaxMsgSize: max_msg_size,
        MaxObjSize: max_obj_size, Emi: emi, Mem: mem,
    } + extra
    Anchor { Last: last, Next: next }
    Mem { MemShared: shared_mem, FreeMem: free_mem, FreeId: free_id } + extra
    Item {
        Target: target, Source: source, SourceParent: source_parent via InLocUri,
        TargetParent: target_parent via InLocUri, Meta: meta, Data: data, MoreData: more_data,
    } + extra
    Change {
        CmdId: cmd_id, NoResp: no_resp, Archive: archive, SftDel: sft_del, Cred: cred, Meta: meta,
        Item: items,
    } + extra
    Alert {
        CmdId: cmd_id, NoResp: no_resp, Cred: cred, Data: code, Correlator: correlator, Item: items,
    } + extra
    Exec {
        CmdId: cmd_id, NoResp: no_resp, Cred: cred, Meta: meta, Correlator: correlator, Item: items,
    } + extra
    Get {
        CmdId: cmd_id, NoResp: no_resp, Lang: lang, Cred: cred, Meta: meta, Item: items,
    } + extra
    Results {
        CmdId: cmd_id, MsgRef: msg_ref, CmdRef: cmd_ref, Meta: meta, TargetRef: target_ref,
        SourceRef: source_ref, Item: items,
    } + extra
    Map { CmdId: cmd_id, Target: target, Source: source, Cred: cred, Meta: meta, MapItem: items } + extra
    MapItem { Target: target, Source: source } + extra
    Search {
        CmdId: cmd_id, NoResp: no_resp, NoResults: no_results, Cred: cred, Target: target, Source: sources,
        Lang: lang, Meta: meta, Data: data,
    } + extra
    Status {
        CmdId: cmd_id, MsgRef: msg_ref, CmdRef: cmd_ref, Cmd: cmd, TargetRef: target_ref,
        SourceRef: source_ref, Cred: cred, Chal: chal, Data: data, Item: items,
    } + extra
    Sync {
        CmdId: cmd_id, NoResp: no_resp, Cred: cred, Target: target, Source: source, Meta: meta,
        NumberOfChanges: number_of_changes,
    } + extra
    Nest { CmdId: cmd_id, NoResp: no_resp, Meta: meta } + extra
    DevInf {
        DevVerDtd: ver_dtd, Man: man, Mod: model, Oem: oem, FwV: fwv, SwV: swv, HwV: hwv, DevId: dev_id,
        DevTyp: dev_typ, Utc: utc, SupportLargeObjs: support_large_objs,
        SupportNumberOfChanges: support_number_of_changes, DataStore: data_stores, CtCap: ct_caps, Ext: ext,
    } + extra
    DataStore {
        DevSourceRef: source_ref, DisplayName: display_name, MaxGuidSize: max_guid_size, RxPref: rx_pref,
        Rx: rx, TxPref: tx_pref, Tx: tx, CtCap: ct_caps, DsMem: ds_mem,
        SupportHierarchicalSync: support_hierarchical_sync, SyncCap: sync_cap, FilterRx: filter_rx,
        FilterCap: filter_caps,
    } + extra
    CtType { CtType: ct_type, VerCt: ver_ct }
    DsMem { DsSharedMem: shared_mem, MaxMem: max_mem, MaxId: max_id }
    SyncCap { SyncType: sync_types }
    CtCap { CtType: ct_type.ct_type, VerCt: ct_type.ver_ct, DevFieldLevel: field_level, Property: properties } + extra
    Property {
        PropName: prop_name, DataType: data_type, MaxOccur: max_occur, MaxSize: max_size,
        NoTruncate: no_truncate, ValEnum: val_enum, DisplayName: display_name, PropParam: params,
    } + extra
    PropParam {
        ParamName: param_name, DataType: data_type, ValEnum: val_enum, DisplayName: display_name,
    } + extra
    FilterCap {
        CtType: ct_type.ct_type, VerCt: ct_type.ver_ct, FilterKeyword: filter_keywords, PropName: prop_names,
    }
    Ext { XNam: xnam, XVal: xval }
}

/// Large structures are boxed while they are open.
impl<T: Content> Content for Box<T> {
    const SIZE: usize = T::SIZE;

    const LAYOUT: &'static Layout = T::LAYOUT;

    fn text(&mut self, tag: Tag, text: &mut Gathered<'_>, input: &Bytes) -> Result<(), Bad> {
        (**self).text(tag, text, input)
    }

    fn attach(&mut self, tag: Tag, frame: &mut Frame) {
        (**self).attach(tag, frame);
    }

    fn extra_mut(&mut self) -> Option<&mut Extra> {
        (**self).extra_mut()
    }

    fn extra(&self) -> &Extra {
        (**self).extra()
    }

    fn fields<S: Sink>(&self, sink: &mut S) -> Result<(), EncodeError> {
        (**self).fields(sink)
    }
}

/// An entry of a `CTCap` before 1.2: in any order, any number of times.
const fn entry(tag: Tag) -> Shape {
    Shape { tag, kind: Kind::Text, many: true, required: false, bit: tag.bit(), position: 0 }
}

/// Before 1.2 position alone groups the entries of a `CTCap`.
impl Content for FlatCtCap {
    const SIZE: usize = size_of::<FlatCtCap>();

    const LAYOUT: &'static Layout = &Layout::new(&[
        entry(Tag::CtType),
        entry(Tag::VerCt),
        entry(Tag::PropName),
        entry(Tag::ParamName),
        entry(Tag::ValEnum),
        entry(Tag::DataType),
        entry(Tag::MaxSize),
        entry(Tag::DevSize),
        entry(Tag::DisplayName),
    ]);

    fn text(&mut self, tag: Tag, text: &mut Gathered<'_>, input: &Bytes) -> Result<(), Bad> {
        let mut value = Box::<str>::default();
        value.text(text, input)?;
        let entry = match tag {
            Tag::CtType => CtCapEntry::CtType(value),
            Tag::VerCt => CtCapEntry::VerCt(value),
            Tag::PropName => CtCapEntry::PropName(value),
            Tag::ParamName => CtCapEntry::ParamName(value),
            Tag::ValEnum => CtCapEntry::ValEnum(value),
            Tag::DataType => CtCapEntry::DataType(value),
            Tag::MaxSize | Tag::DevSize => CtCapEntry::Size(value),
            _ => CtCapEntry::DisplayName(value),
        };
        push_tight(&mut self.entries, entry);
        Ok(())
    }

    fn attach(&mut self, _: Tag, _: &mut Frame) {}

    fn extra_mut(&mut self) -> Option<&mut Extra> {
        None
    }

    fn extra(&self) -> &Extra {
        &None
    }

    fn fields<S: Sink>(&self, sink: &mut S) -> Result<(), EncodeError> {
        self.entries.iter().try_for_each(|entry| match entry {
            CtCapEntry::CtType(text) => sink.text(Tag::CtType, text),
            CtCapEntry::VerCt(text) => sink.text(Tag::VerCt, text),
            CtCapEntry::PropName(text) => sink.text(Tag::PropName, text),
            CtCapEntry::ParamName(text) => sink.text(Tag::ParamName, text),
            CtCapEntry::ValEnum(text) => sink.text(Tag::ValEnum, text),
            CtCapEntry::DataType(text) => sink.text(Tag::DataType, text),
            CtCapEntry::Size(text) => sink.text(Tag::DevSize, text),
            CtCapEntry::DisplayName(text) => sink.text(Tag::DisplayName, text),
            CtCapEntry::Unknown(element) => sink.element(element),
        })
    }
}

/// Writes a command, those inside it too, without recursion.
pub(crate) fn emit_command<S: Sink>(command: &Command, sink: &mut S) -> Result<(), EncodeError> {
    let mut open: Vec<(&Command, std::slice::Iter<'_, Command>)> = Vec::new();
    let mut rest = std::slice::from_ref(command).iter();
    loop {
        if let Some(command) = rest.next() {
            if let Some(inner) = open_command(command, sink)? {
                open.push((command, std::mem::replace(&mut rest, inner.iter())));
            }
        } else {
            let Some((command, outer)) = open.pop() else { return Ok(()) };
            close_command(command, sink)?;
            rest = outer;
        }
    }
}

/// Writes a command whole, or the head of one that holds others and which those are.
fn open_command<'c, S: Sink>(
    command: &'c Command,
    sink: &mut S,
) -> Result<Option<&'c [Command]>, EncodeError> {
    match command {
        Command::Add(c) => emit(&**c, Tag::Add, sink)?,
        Command::Copy(c) => emit(&**c, Tag::Copy, sink)?,
        Command::Delete(c) => emit(&**c, Tag::Delete, sink)?,
        Command::Move(c) => emit(&**c, Tag::Move, sink)?,
        Command::Replace(c) => emit(&**c, Tag::Replace, sink)?,
        Command::Alert(c) => emit(&**c, Tag::Alert, sink)?,
        Command::Exec(c) => emit(&**c, Tag::Exec, sink)?,
        Command::Get(c) => emit(&**c, Tag::Get, sink)?,
        Command::Put(c) => emit(&**c, Tag::Put, sink)?,
        Command::Map(c) => emit(&**c, Tag::Map, sink)?,
        Command::Results(c) => emit(&**c, Tag::Results, sink)?,
        Command::Search(c) => emit(&**c, Tag::Search, sink)?,
        Command::Status(c) => emit(&**c, Tag::Status, sink)?,
        Command::Unknown(element) => sink.element(element)?,
        Command::Atomic(c) => {
            sink.open(Tag::Atomic);
            c.fields(sink)?;
            return Ok(Some(&c.commands));
        }
        Command::Sequence(c) => {
            sink.open(Tag::Sequence);
            c.fields(sink)?;
            return Ok(Some(&c.commands));
        }
        Command::Sync(c) => {
            sink.open(Tag::Sync);
            c.fields(sink)?;
            return Ok(Some(&c.commands));
        }
    }
    Ok(None)
}

fn close_command<S: Sink>(command: &Command, sink: &mut S) -> Result<(), EncodeError> {
    let (tag, extra) = match command {
        Command::Atomic(c) => (Tag::Atomic, &c.extra),
        Command::Sequence(c) => (Tag::Sequence, &c.extra),
        Command::Sync(c) => (Tag::Sync, &c.extra),
        _ => return Ok(()),
    };
    emit_extra(extra, sink)?;
    sink.close(tag);
    Ok(())
}
