//! `Arbitrary` messages: every element of the tables, and only what can be read back as it was.
//!
//! A message made here encodes, and decodes to an equal value, in WBXML always and in XML whenever every
//! octet string in it is XML text.

use crate::model::*;
use ::arbitrary::{Arbitrary, Result, Unstructured};
use bytes::Bytes;

impl<'a> Arbitrary<'a> for Message {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut message = Message::new(hdr(u)?);
        message.commands = list(u, 4, |u| command(u, 0))?;
        message.is_final = flag(u)?;
        message.extra = extra(u)?;
        Ok(message)
    }
}

impl<'a> Arbitrary<'a> for DevInf {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        devinf(u)
    }
}

impl<'a> Arbitrary<'a> for Command {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        command(u, 0)
    }
}

impl<'a> Arbitrary<'a> for Encoding {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(if flag(u)? { Encoding::Xml } else { Encoding::Wbxml })
    }
}

impl<'a> Arbitrary<'a> for Version {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(*u.choose(&[Version::V1_0, Version::V1_1, Version::V1_2])?)
    }
}

type In<'u, 'a> = &'u mut Unstructured<'a>;

fn flag(u: In<'_, '_>) -> Result<bool> {
    Ok(u.arbitrary::<u8>()? & 1 == 1)
}

/// One in eight.
fn rarely(u: In<'_, '_>) -> Result<bool> {
    Ok(u.arbitrary::<u8>()? & 7 == 7)
}

fn list<'a, T>(u: In<'_, 'a>, most: u8, mut one: impl FnMut(In<'_, 'a>) -> Result<T>) -> Result<Vec<T>> {
    let len = u.arbitrary::<u8>()? % most.saturating_add(1);
    let mut all = Vec::new();
    for _ in 0..len {
        all.push(one(u)?);
    }
    Ok(all)
}

fn maybe<'a, T>(u: In<'_, 'a>, one: impl FnOnce(In<'_, 'a>) -> Result<T>) -> Result<Option<T>> {
    if flag(u)? { one(u).map(Some) } else { Ok(None) }
}

fn boxed<'a, T>(u: In<'_, 'a>, one: impl FnOnce(In<'_, 'a>) -> Result<T>) -> Result<Option<Box<T>>> {
    Ok(maybe(u, one)?.map(Box::new))
}

/// Text with all that needs care in either spelling.
fn text(u: In<'_, '_>) -> Result<Box<str>> {
    const PIECES: [&str; 16] = [
        "a",
        "mail",
        "./x?y=1&z=2",
        "<",
        ">",
        "&amp;",
        "]]>",
        "\"",
        "'",
        " ",
        "\r\n",
        "\t",
        "é",
        "漢字",
        "\u{10FFFD}",
        "0",
    ];
    Ok(list(u, 4, |u| u.choose(&PIECES).copied())?.concat().into())
}

fn octets(u: In<'_, '_>) -> Result<Bytes> {
    if rarely(u)? {
        return Ok(Bytes::from(list(u, 20, |u| u.arbitrary::<u8>())?));
    }
    Ok(Bytes::from(text(u)?.into_string()))
}

fn number(u: In<'_, '_>) -> Result<u64> {
    Ok(if flag(u)? { u64::from(u.arbitrary::<u8>()?) } else { u.arbitrary()? })
}

fn small(u: In<'_, '_>) -> Result<u32> {
    Ok(if flag(u)? { u32::from(u.arbitrary::<u8>()?) } else { u.arbitrary()? })
}

fn hdr(u: In<'_, '_>) -> Result<SyncHdr> {
    let version = Version::arbitrary(u)?;
    let mut hdr = SyncHdr::new(version, &text(u)?, small(u)?, target(u, MAX_FILTERS)?, source(u)?);
    if rarely(u)? {
        hdr.ver_proto = "DM/1.2".into();
    }
    hdr.resp_uri = maybe(u, text)?;
    hdr.no_resp = flag(u)?;
    hdr.cred = boxed(u, cred)?;
    hdr.meta = boxed(u, meta)?;
    hdr.extra = extra(u)?;
    Ok(hdr)
}

/// Filters hold items, and items targets with filters: this deep at most.
const MAX_FILTERS: u8 = 1;

fn target(u: In<'_, '_>, filters: u8) -> Result<Target> {
    let filter = if filters < MAX_FILTERS && rarely(u)? { Some(Box::new(filter(u, filters)?)) } else { None };
    Ok(Target { loc_uri: text(u)?, loc_name: maybe(u, text)?, filter, extra: extra(u)? })
}

fn source(u: In<'_, '_>) -> Result<Source> {
    Ok(Source { loc_uri: text(u)?, loc_name: maybe(u, text)?, extra: extra(u)? })
}

fn filter(u: In<'_, '_>, depth: u8) -> Result<Filter> {
    let inner = depth.saturating_add(1);
    Ok(Filter {
        meta: boxed(u, meta)?,
        field: maybe(u, |u| Ok(Field { item: item(u, true, inner)? }))?,
        record: maybe(u, |u| Ok(Record { item: item(u, false, inner)? }))?,
        filter_type: maybe(u, text)?,
        extra: extra(u)?,
    })
}

fn cred(u: In<'_, '_>) -> Result<Cred> {
    Ok(Cred { meta: boxed(u, meta)?, data: octets(u)?, extra: extra(u)? })
}

fn chal(u: In<'_, '_>) -> Result<Chal> {
    Ok(Chal { meta: meta(u)?, extra: extra(u)? })
}

fn meta(u: In<'_, '_>) -> Result<Meta> {
    Ok(Meta {
        field_level: flag(u)?,
        format: maybe(u, text)?,
        type_: maybe(u, text)?,
        mark: maybe(u, text)?,
        size: maybe(u, number)?,
        anchor: boxed(u, anchor)?,
        version: maybe(u, text)?,
        next_nonce: maybe(u, |u| Ok(Bytes::from(list(u, 20, |u| u.arbitrary::<u8>())?)))?,
        max_msg_size: maybe(u, number)?,
        max_obj_size: maybe(u, number)?,
        emi: list(u, 2, text)?,
        mem: boxed(u, |u| {
            Ok(Mem { shared_mem: flag(u)?, free_mem: number(u)?, free_id: number(u)?, extra: extra(u)? })
        })?,
        extra: extra(u)?,
    })
}

fn anchor(u: In<'_, '_>) -> Result<Anchor> {
    Ok(Anchor { last: maybe(u, text)?, next: text(u)? })
}

/// An item; DevInf only where a reader looks for it.
fn item(u: In<'_, '_>, with_devinf: bool, filters: u8) -> Result<Item> {
    Ok(Item {
        target: maybe(u, |u| target(u, filters))?,
        source: maybe(u, source)?,
        source_parent: maybe(u, text)?,
        target_parent: maybe(u, text)?,
        meta: boxed(u, meta)?,
        data: maybe(u, |u| data(u, with_devinf))?,
        more_data: flag(u)?,
        extra: extra(u)?,
    })
}

fn data(u: In<'_, '_>, with_devinf: bool) -> Result<Data> {
    Ok(match u.arbitrary::<u8>()? % 8 {
        0 => Data::Anchor(anchor(u)?),
        1 if with_devinf => Data::DevInf(Box::new(devinf(u)?)),
        2 => Data::Properties(some(u, 2, property)?),
        3 => {
            let mut nodes = vec![Node::Element(element(u, 0)?)];
            nodes.extend(self::nodes(u, 0)?);
            Data::Markup(nodes)
        }
        _ => Data::Bytes(octets(u)?),
    })
}

fn some<'a, T>(u: In<'_, 'a>, most: u8, mut one: impl FnMut(In<'_, 'a>) -> Result<T>) -> Result<Vec<T>> {
    let mut all = vec![one(u)?];
    all.extend(list(u, most, one)?);
    Ok(all)
}

fn change(u: In<'_, '_>) -> Result<Change> {
    Ok(Change {
        cmd_id: small(u)?,
        no_resp: flag(u)?,
        archive: flag(u)?,
        sft_del: flag(u)?,
        cred: boxed(u, cred)?,
        meta: boxed(u, meta)?,
        items: list(u, 3, |u| item(u, false, 0))?,
        extra: extra(u)?,
    })
}

fn get(u: In<'_, '_>) -> Result<Get> {
    Ok(Get {
        cmd_id: small(u)?,
        no_resp: flag(u)?,
        lang: maybe(u, text)?,
        cred: boxed(u, cred)?,
        meta: boxed(u, meta)?,
        items: list(u, 2, |u| item(u, true, 0))?,
        extra: extra(u)?,
    })
}

fn nest(u: In<'_, '_>, depth: u8) -> Result<Nest> {
    Ok(Nest {
        cmd_id: small(u)?,
        no_resp: flag(u)?,
        meta: boxed(u, meta)?,
        commands: list(u, 3, |u| command(u, depth.saturating_add(1)))?,
        extra: extra(u)?,
    })
}

fn command(u: In<'_, '_>, depth: u8) -> Result<Command> {
    let kind = u.arbitrary::<u8>()? % 20;
    Ok(match kind {
        0 => Command::Add(change(u)?.into()),
        1 => Command::Copy(change(u)?.into()),
        2 => Command::Delete(change(u)?.into()),
        3 => Command::Move(change(u)?.into()),
        4 => Command::Replace(change(u)?.into()),
        5 if depth < 3 => Command::Atomic(nest(u, depth)?.into()),
        6 if depth < 3 => Command::Sequence(nest(u, depth)?.into()),
        7 | 8 if depth < 3 => Command::Sync(Box::new(Sync {
            cmd_id: small(u)?,
            no_resp: flag(u)?,
            cred: boxed(u, cred)?,
            target: maybe(u, |u| target(u, 0))?,
            source: maybe(u, source)?,
            meta: boxed(u, meta)?,
            number_of_changes: maybe(u, small)?,
            commands: list(u, 3, |u| command(u, depth.saturating_add(1)))?,
            extra: extra(u)?,
        })),
        9 => Command::Exec(Box::new(Exec {
            cmd_id: small(u)?,
            no_resp: flag(u)?,
            cred: boxed(u, cred)?,
            meta: boxed(u, meta)?,
            correlator: maybe(u, text)?,
            items: list(u, 2, |u| item(u, false, 0))?,
            extra: extra(u)?,
        })),
        10 => Command::Get(get(u)?.into()),
        11 => Command::Put(get(u)?.into()),
        12 => Command::Map(Box::new(Map {
            cmd_id: small(u)?,
            target: target(u, 0)?,
            source: source(u)?,
            cred: boxed(u, cred)?,
            meta: boxed(u, meta)?,
            items: list(u, 3, |u| {
                Ok(MapItem { target: target(u, 0)?, source: source(u)?, extra: extra(u)? })
            })?,
            extra: extra(u)?,
        })),
        13 => Command::Results(Box::new(Results {
            cmd_id: small(u)?,
            msg_ref: maybe(u, small)?,
            cmd_ref: small(u)?,
            meta: boxed(u, meta)?,
            target_ref: maybe(u, text)?,
            source_ref: maybe(u, text)?,
            items: list(u, 2, |u| item(u, true, 0))?,
            extra: extra(u)?,
        })),
        14 => Command::Search(Box::new(Search {
            cmd_id: small(u)?,
            no_resp: flag(u)?,
            no_results: flag(u)?,
            cred: boxed(u, cred)?,
            target: maybe(u, |u| target(u, 0))?,
            sources: list(u, 2, source)?,
            lang: maybe(u, text)?,
            meta: boxed(u, meta)?,
            data: maybe(u, |u| data(u, false))?,
            extra: extra(u)?,
        })),
        15 => {
            let mut element = element(u, 0)?;
            let mut cmd_id = named(Page::SyncMl, "CmdID");
            cmd_id.children.push(Node::Text(Bytes::from_static(b"7")));
            element.children.push(Node::Element(cmd_id));
            Command::Unknown(element.into())
        }
        16 => Command::Alert(Box::new(Alert {
            cmd_id: small(u)?,
            no_resp: flag(u)?,
            cred: boxed(u, cred)?,
            code: maybe(u, |u| Ok(AlertCode(u.arbitrary()?)))?,
            correlator: maybe(u, text)?,
            items: list(u, 2, |u| item(u, false, 0))?,
            extra: extra(u)?,
        })),
        _ => Command::Status(Box::new(Status {
            cmd_id: small(u)?,
            msg_ref: maybe(u, small)?,
            cmd_ref: small(u)?,
            cmd: CommandName::parse(&if flag(u)? { "Replace".into() } else { text(u)? }),
            target_ref: list(u, 2, text)?,
            source_ref: list(u, 2, text)?,
            cred: boxed(u, cred)?,
            chal: boxed(u, chal)?,
            data: StatusCode(u.arbitrary()?),
            items: list(u, 2, |u| item(u, false, 0))?,
            extra: extra(u)?,
        })),
    })
}

fn devinf(u: In<'_, '_>) -> Result<DevInf> {
    let mut devinf = DevInf::new(Version::arbitrary(u)?, &text(u)?, &text(u)?);
    devinf.man = maybe(u, text)?;
    devinf.model = maybe(u, text)?;
    devinf.oem = maybe(u, text)?;
    devinf.fwv = maybe(u, text)?;
    devinf.swv = maybe(u, text)?;
    devinf.hwv = maybe(u, text)?;
    devinf.utc = flag(u)?;
    devinf.support_large_objs = flag(u)?;
    devinf.support_number_of_changes = flag(u)?;
    devinf.data_stores = list(u, 2, data_store)?;
    devinf.ct_caps = list(u, 2, |u| Ok(FlatCtCap { entries: list(u, 6, flat_entry)? }))?;
    devinf.ext = list(u, 2, |u| Ok(Ext { xnam: text(u)?, xval: list(u, 2, text)? }))?;
    devinf.extra = extra(u)?;
    Ok(devinf)
}

fn data_store(u: In<'_, '_>) -> Result<DataStore> {
    Ok(DataStore {
        source_ref: text(u)?,
        display_name: maybe(u, text)?,
        max_guid_size: maybe(u, small)?,
        rx_pref: maybe(u, ct_type)?,
        rx: list(u, 2, ct_type)?,
        tx_pref: maybe(u, ct_type)?,
        tx: list(u, 2, ct_type)?,
        ct_caps: list(u, 2, |u| {
            Ok(CtCap {
                ct_type: ct_type(u)?,
                field_level: flag(u)?,
                properties: list(u, 3, property)?,
                extra: extra(u)?,
            })
        })?,
        ds_mem: maybe(u, |u| {
            Ok(DsMem { shared_mem: flag(u)?, max_mem: maybe(u, number)?, max_id: maybe(u, number)? })
        })?,
        support_hierarchical_sync: flag(u)?,
        sync_cap: SyncCap { sync_types: list(u, 3, small)? },
        filter_rx: list(u, 2, ct_type)?,
        filter_caps: list(u, 2, |u| {
            Ok(FilterCap {
                ct_type: ct_type(u)?,
                filter_keywords: list(u, 2, text)?,
                prop_names: list(u, 2, text)?,
            })
        })?,
        extra: extra(u)?,
    })
}

fn ct_type(u: In<'_, '_>) -> Result<CtType> {
    Ok(CtType { ct_type: text(u)?, ver_ct: text(u)? })
}

fn flat_entry(u: In<'_, '_>) -> Result<CtCapEntry> {
    Ok(match u.arbitrary::<u8>()? % 9 {
        0 => CtCapEntry::CtType(text(u)?),
        1 => CtCapEntry::VerCt(text(u)?),
        2 => CtCapEntry::PropName(text(u)?),
        3 => CtCapEntry::ParamName(text(u)?),
        4 => CtCapEntry::ValEnum(text(u)?),
        5 => CtCapEntry::DataType(text(u)?),
        6 => CtCapEntry::Size(text(u)?),
        7 => CtCapEntry::DisplayName(text(u)?),
        _ => CtCapEntry::Unknown(element(u, 0)?),
    })
}

fn property(u: In<'_, '_>) -> Result<Property> {
    Ok(Property {
        prop_name: text(u)?,
        data_type: maybe(u, text)?,
        max_occur: maybe(u, number)?,
        max_size: maybe(u, number)?,
        no_truncate: flag(u)?,
        val_enum: list(u, 2, text)?,
        display_name: maybe(u, text)?,
        params: list(u, 2, |u| {
            Ok(PropParam {
                param_name: text(u)?,
                data_type: maybe(u, text)?,
                val_enum: list(u, 2, text)?,
                display_name: maybe(u, text)?,
                extra: extra(u)?,
            })
        })?,
        extra: extra(u)?,
    })
}

fn extra(u: In<'_, '_>) -> Result<Extra> {
    Ok(if rarely(u)? { Some(Box::new(some(u, 1, |u| element(u, 0))?)) } else { None })
}

fn named(page: Page, name: &str) -> Element {
    Element {
        page,
        namespace: None,
        name: Name::Text(name.into()),
        attributes: Vec::new(),
        children: Vec::new(),
    }
}

/// An element that is no child of any structure; below the top also one of the tables.
fn element(u: In<'_, '_>, depth: u8) -> Result<Element> {
    let page = *u.choose(&[Page::SyncMl, Page::MetInf, Page::DevInf])?;
    let mut element = match u.arbitrary::<u8>()? % 8 {
        0 if depth > 0 => named(Page::DevInf, "Size"),
        1 if depth > 0 => named(Page::DevInf, "MaxSize"),
        2 if depth > 0 => named(Page::SyncMl, "Item"),
        3 => Element {
            namespace: Some(u.choose(&["urn:x", "http://e/?a&b", ""])?.to_string().into()),
            ..named(Page::SyncMl, "Foo")
        },
        4 if rarely(u)? => Element { name: Name::Token(0x3F), ..named(Page::MetInf, "") },
        5 if rarely(u)? => Element { name: Name::Token(0x05), ..named(Page::Other(9), "") },
        _ => named(page, u.choose(&["X-Foo", "Bar", "é_1"])?),
    };
    if rarely(u)? {
        element.attributes = vec![("id".into(), text(u)?)];
        if flag(u)? {
            element.attributes.push(("x".into(), text(u)?));
        }
    }
    element.children = nodes(u, depth.saturating_add(1))?;
    Ok(element)
}

/// Content without neighbouring texts, which would be read as one.
fn nodes(u: In<'_, '_>, depth: u8) -> Result<Vec<Node>> {
    let mut nodes: Vec<Node> = Vec::new();
    for _ in 0..u.arbitrary::<u8>()? % 4 {
        let after_text = matches!(nodes.last(), Some(Node::Text(_)));
        if flag(u)? && !after_text {
            let text = octets(u)?;
            if !text.is_empty() {
                nodes.push(Node::Text(text));
            }
        } else if depth < 4 {
            nodes.push(Node::Element(element(u, depth)?));
        }
    }
    Ok(nodes)
}
