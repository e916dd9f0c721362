#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
//! Every element of the content models, and the messages of device management.

use bytes::Bytes;
use syncml::{Command, Data, Encoding, Limits, Message, Node, Quirks, decode, encode};

const HDR: &str = "<SyncHdr><VerDTD>1.2</VerDTD><VerProto>SyncML/1.2</VerProto><SessionID>1</SessionID><MsgID>1</MsgID>\
    <Target><LocURI>s</LocURI><LocName>n</LocName></Target><Source><LocURI>c</LocURI><LocName>n</LocName></Source>\
    <RespURI>r</RespURI><NoResp/><Cred><Meta><Format xmlns=\"syncml:metinf\">b64</Format></Meta><Data>QQ==</Data></Cred>\
    <Meta><MaxMsgSize xmlns=\"syncml:metinf\">9000</MaxMsgSize><MaxObjSize xmlns=\"syncml:metinf\">90000</MaxObjSize></Meta></SyncHdr>";

const META: &str = "<Meta><FieldLevel xmlns=\"syncml:metinf\"/><Format xmlns=\"syncml:metinf\">chr</Format>\
    <Type xmlns=\"syncml:metinf\">text/plain</Type><Mark xmlns=\"syncml:metinf\">draft</Mark>\
    <Size xmlns=\"syncml:metinf\">5</Size><Anchor xmlns=\"syncml:metinf\"><Last>1</Last><Next>2</Next></Anchor>\
    <Version xmlns=\"syncml:metinf\">1</Version><NextNonce xmlns=\"syncml:metinf\">QUJD</NextNonce>\
    <MaxMsgSize xmlns=\"syncml:metinf\">1</MaxMsgSize><MaxObjSize xmlns=\"syncml:metinf\">2</MaxObjSize>\
    <EMI xmlns=\"syncml:metinf\">a</EMI><EMI xmlns=\"syncml:metinf\">b</EMI>\
    <Mem xmlns=\"syncml:metinf\"><SharedMem/><FreeMem>3</FreeMem><FreeID>4</FreeID></Mem></Meta>";

const CRED: &str =
    "<Cred><Meta><Type xmlns=\"syncml:metinf\">syncml:auth-basic</Type></Meta><Data>QQ==</Data></Cred>";

fn item() -> String {
    format!(
        "<Item><Target><LocURI>t</LocURI><LocName>n</LocName><Filter><Meta><Type xmlns=\"syncml:metinf\">text/x-vcard</Type></Meta>\
         <Field><Item><Data><Property xmlns=\"syncml:devinf\"><PropName>N</PropName></Property>\
         <Property xmlns=\"syncml:devinf\"><PropName>TEL</PropName><MaxSize>9</MaxSize></Property></Data></Item></Field>\
         <Record><Item><Meta><Type xmlns=\"syncml:metinf\">syncml:filtertype-cgi</Type></Meta>\
         <Data><![CDATA[LUID&EQ;7]]></Data></Item></Record><FilterType>INCLUSIVE</FilterType></Filter></Target>\
         <Source><LocURI>s</LocURI><LocName>n</LocName></Source><SourceParent><LocURI>p</LocURI></SourceParent>\
         <TargetParent><LocURI>q</LocURI></TargetParent>{META}<Data>hello</Data><MoreData/></Item>"
    )
}

fn whole(body: &str) -> Bytes {
    let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
    format!("{xml}<SyncML xmlns=\"SYNCML:SYNCML1.2\">{HDR}<SyncBody>{body}</SyncBody></SyncML>").into()
}

fn read(encoding: Encoding, octets: &Bytes) -> Message {
    decode(encoding, octets, &Limits::default(), &Quirks::strict()).unwrap()
}

/// The canonical XML given is read strictly, without anything unknown, and written again octet by octet, also
/// after a detour through WBXML.
fn round(body: &str) -> Message {
    let xml = whole(body);
    let message = read(Encoding::Xml, &xml);
    assert!(!format!("{message:?}").contains("extra: Some"), "{message:?}");
    assert_eq!(encode(Encoding::Xml, &message).unwrap(), xml, "{}", xml.escape_ascii());
    let wbxml = encode(Encoding::Wbxml, &message).unwrap();
    assert_eq!(read(Encoding::Wbxml, &wbxml), message);
    message
}

#[test]
fn every_command_with_every_child() {
    let item = item();
    let item = item.as_str();
    let id = "<CmdID>1</CmdID>";
    let change = |name: &str| format!("<{name}>{id}<NoResp/>{CRED}{META}{item}{item}</{name}>");
    let bodies = [
        change("Add"),
        change("Replace"),
        change("Copy"),
        change("Move"),
        format!("<Delete>{id}<NoResp/><Archive/><SftDel/>{CRED}{META}{item}</Delete>"),
        format!("<Alert>{id}<NoResp/>{CRED}<Data>225</Data><Correlator>c</Correlator>{item}</Alert>"),
        format!("<Exec>{id}<NoResp/>{CRED}{META}<Correlator>c</Correlator>{item}</Exec>"),
        format!("<Get>{id}<NoResp/><Lang>en</Lang>{CRED}{META}{item}</Get>"),
        format!("<Put>{id}<NoResp/><Lang>en</Lang>{CRED}{META}{item}</Put>"),
        format!(
            "<Map>{id}<Target><LocURI>t</LocURI></Target><Source><LocURI>s</LocURI></Source>{CRED}{META}\
             <MapItem><Target><LocURI>g</LocURI></Target><Source><LocURI>l</LocURI></Source></MapItem>\
             <MapItem><Target><LocURI>h</LocURI></Target><Source><LocURI>m</LocURI></Source></MapItem></Map>"
        ),
        format!(
            "<Results>{id}<MsgRef>1</MsgRef><CmdRef>2</CmdRef>{META}<TargetRef>t</TargetRef><SourceRef>s</SourceRef>{item}</Results>"
        ),
        format!(
            "<Search>{id}<NoResp/><NoResults/>{CRED}<Target><LocURI>t</LocURI></Target><Source><LocURI>a</LocURI></Source>\
             <Source><LocURI>b</LocURI></Source><Lang>en</Lang>{META}<Data>query</Data></Search>"
        ),
        format!(
            "<Status>{id}<MsgRef>1</MsgRef><CmdRef>2</CmdRef><Cmd>Sync</Cmd><TargetRef>t</TargetRef><TargetRef>u</TargetRef>\
             <SourceRef>s</SourceRef>{CRED}<Chal>{META}</Chal><Data>407</Data>{item}</Status>"
        ),
        format!(
            "<Atomic>{id}<NoResp/>{META}<Sequence><CmdID>2</CmdID><Get><CmdID>3</CmdID></Get></Sequence><Copy><CmdID>4</CmdID></Copy></Atomic>"
        ),
        format!(
            "<Sync>{id}<NoResp/>{CRED}<Target><LocURI>t</LocURI></Target><Source><LocURI>s</LocURI></Source>{META}\
             <NumberOfChanges>2</NumberOfChanges><Add><CmdID>2</CmdID>{item}</Add><Atomic><CmdID>3</CmdID><Delete>\
             <CmdID>4</CmdID></Delete></Atomic><Move><CmdID>5</CmdID></Move></Sync>"
        ),
    ];
    for body in &bodies {
        round(body);
    }
    let all = round(&format!("{}<Final/>", bodies.concat()));
    assert_eq!(all.commands.len(), bodies.len());
    assert!(all.is_final);
}

#[test]
fn devinf_of_1_2_with_every_child() {
    let devinf = "<DevInf xmlns=\"syncml:devinf\"><VerDTD>1.2</VerDTD><Man>m</Man><Mod>d</Mod><OEM>o</OEM><FwV>1</FwV><SwV>2</SwV>\
        <HwV>3</HwV><DevID>i</DevID><DevTyp>phone</DevTyp><UTC/><SupportLargeObjs/><SupportNumberOfChanges/>\
        <DataStore><SourceRef>./mail</SourceRef><DisplayName>Mail</DisplayName><MaxGUIDSize>8</MaxGUIDSize>\
        <Rx-Pref><CTType>a</CTType><VerCT>1</VerCT></Rx-Pref><Rx><CTType>b</CTType><VerCT>1</VerCT></Rx>\
        <Tx-Pref><CTType>a</CTType><VerCT>1</VerCT></Tx-Pref><Tx><CTType>b</CTType><VerCT>1</VerCT></Tx>\
        <CTCap><CTType>a</CTType><VerCT>1</VerCT><FieldLevel/><Property><PropName>TEL</PropName><DataType>chr</DataType>\
        <MaxOccur>3</MaxOccur><MaxSize>99</MaxSize><NoTruncate/><ValEnum>x</ValEnum><ValEnum>y</ValEnum>\
        <DisplayName>Phone</DisplayName><PropParam><ParamName>TYPE</ParamName><DataType>chr</DataType>\
        <ValEnum>CELL</ValEnum><DisplayName>Kind</DisplayName></PropParam></Property></CTCap>\
        <DSMem><SharedMem/><MaxMem>1</MaxMem><MaxID>2</MaxID></DSMem><SupportHierarchicalSync/>\
        <SyncCap><SyncType>1</SyncType><SyncType>2</SyncType></SyncCap><Filter-Rx><CTType>f</CTType><VerCT>1</VerCT></Filter-Rx>\
        <FilterCap><CTType>a</CTType><VerCT>1</VerCT><FilterKeyword>LUID</FilterKeyword><PropName>N</PropName></FilterCap>\
        </DataStore><Ext><XNam>X-a</XNam><XVal>1</XVal><XVal>2</XVal></Ext></DevInf>";
    let message = round(&format!("<Put><CmdID>1</CmdID><Item><Data>{devinf}</Data></Item></Put>"));
    let Command::Put(put) = &message.commands[0] else { panic!() };
    assert!(matches!(put.items[0].data, Some(Data::DevInf(_))));
}

#[test]
fn devinf_of_1_1_is_a_flat_list() {
    let devinf = "<DevInf xmlns=\"syncml:devinf\"><VerDTD>1.1</VerDTD><DevID>i</DevID><DevTyp>phone</DevTyp>\
        <DataStore><SourceRef>./c</SourceRef><SyncCap><SyncType>1</SyncType></SyncCap></DataStore>\
        <CTCap><CTType>text/x-vcard</CTType><PropName>BEGIN</PropName><ValEnum>VCARD</ValEnum><PropName>TEL</PropName>\
        <DataType>chr</DataType><Size>40</Size><DisplayName>Phone</DisplayName><ParamName>TYPE</ParamName>\
        <ValEnum>CELL</ValEnum><CTType>text/x-vcalendar</CTType><VerCT>1.0</VerCT><PropName>UID</PropName></CTCap></DevInf>";
    let message = round(&format!(
        "<Results><CmdID>1</CmdID><CmdRef>1</CmdRef><Item><Data>{devinf}</Data></Item></Results>"
    ));
    let Command::Results(results) = &message.commands[0] else { panic!() };
    let Some(Data::DevInf(devinf)) = &results.items[0].data else { panic!() };
    assert_eq!(devinf.ct_caps[0].entries.len(), 12);
    // `Size` here and `MaxSize` in 1.2 share a token and keep their names.
    assert!(format!("{devinf:?}").contains("Size(\"40\")"));
}

#[test]
fn raw_line_ends_count() {
    for text in ["a\rb", "a\r\nb\nc", "\r\n", "  spaces  "] {
        let message = round(&format!("<Add><CmdID>1</CmdID><Item><Data>{text}</Data></Item></Add>"));
        let Command::Add(add) = &message.commands[0] else { panic!() };
        assert_eq!(add.items[0].data.as_ref().unwrap().as_bytes().unwrap(), text.as_bytes());
    }
}

#[test]
fn a_cdata_end_inside_data_is_split_and_joined() {
    let message =
        round("<Add><CmdID>1</CmdID><Item><Data><![CDATA[a]]]]><![CDATA[>b & c]]></Data></Item></Add>");
    let Command::Add(add) = &message.commands[0] else { panic!() };
    assert_eq!(add.items[0].data.as_ref().unwrap().as_bytes().unwrap(), &b"a]]>b & c"[..]);
}

// ---- device management ---------------------------------------------------------------------------------------

fn dm(version: &str, body: &str) -> Bytes {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SyncML xmlns=\"SYNCML:SYNCML{version}\"><SyncHdr><VerDTD>{version}</VerDTD>\
         <VerProto>DM/{version}</VerProto><SessionID>A1</SessionID><MsgID>1</MsgID><Target><LocURI>http://dm.example/srv</LocURI></Target>\
         <Source><LocURI>IMEI:493005100592800</LocURI></Source></SyncHdr><SyncBody>{body}<Final/></SyncBody></SyncML>"
    )
    .into()
}

#[test]
fn dm_package_1_of_both_versions() {
    for version in ["1.1", "1.2"] {
        let xml = dm(
            version,
            "<Alert><CmdID>1</CmdID><Data>1201</Data></Alert><Replace><CmdID>2</CmdID>\
             <Item><Source><LocURI>./DevInfo/DevId</LocURI></Source><Meta><Format xmlns=\"syncml:metinf\">chr</Format>\
             <Type xmlns=\"syncml:metinf\">text/plain</Type></Meta><Data>IMEI:493005100592800</Data></Item>\
             <Item><Source><LocURI>./DevInfo/DmV</LocURI></Source><Data>1.2</Data></Item></Replace>",
        );
        let message = read(Encoding::Xml, &xml);
        assert_eq!(&*message.hdr.ver_proto, format!("DM/{version}"));
        let wbxml = encode(Encoding::Wbxml, &message).unwrap();
        assert_eq!(read(Encoding::Wbxml, &wbxml), message);
        assert_eq!(encode(Encoding::Xml, &message).unwrap(), xml);
        assert!(syncml::inspect::tree(&xml).contains("Data: 1201 (DM client-initiated session)"));
    }
}

#[test]
fn dm_generic_alert_exec_and_nodes() {
    let xml = dm(
        "1.2",
        "<Alert><CmdID>1</CmdID><Data>1226</Data><Correlator>abc</Correlator><Item><Source><LocURI>./SCM/Download</LocURI></Source>\
         <Meta><Format xmlns=\"syncml:metinf\">chr</Format><Type xmlns=\"syncml:metinf\">urn:oma:at:scomo:DownloadComplete:1.0</Type>\
         <Mark xmlns=\"syncml:metinf\">fatal</Mark></Meta><Data>200</Data></Item></Alert>\
         <Exec><CmdID>2</CmdID><Correlator>x</Correlator><Item><Target><LocURI>./FwUpdate/Update</LocURI></Target></Item></Exec>\
         <Atomic><CmdID>3</CmdID><Add><CmdID>4</CmdID><Item><Target><LocURI>./A</LocURI></Target><Meta>\
         <Format xmlns=\"syncml:metinf\">node</Format></Meta></Item></Add><Replace><CmdID>5</CmdID><Item>\
         <Target><LocURI>./A/B</LocURI></Target><Meta><Format xmlns=\"syncml:metinf\">bool</Format></Meta><Data>true</Data></Item></Replace></Atomic>\
         <Get><CmdID>6</CmdID><Item><Target><LocURI>./DevDetail?list=Struct</LocURI></Target></Item></Get>",
    );
    let message = read(Encoding::Xml, &xml);
    let wbxml = encode(Encoding::Wbxml, &message).unwrap();
    assert_eq!(read(Encoding::Wbxml, &wbxml), message);
    assert_eq!(encode(Encoding::Xml, &message).unwrap(), xml);
}

/// Nested XML, with and without namespaces of its own, stays what it is in both spellings.
#[test]
fn dm_nested_xml_in_data() {
    let inner = "<MgmtTree xmlns=\"syncml:dmddf1.2\"><VerDTD>1.2</VerDTD><Node><NodeName>DMAcc</NodeName><Path/></Node></MgmtTree>";
    let xml = dm(
        "1.2",
        &format!(
            "<Replace><CmdID>1</CmdID><Item><Target><LocURI>./T</LocURI></Target><Meta><Format xmlns=\"syncml:metinf\">xml</Format></Meta>\
             <Data>{inner}</Data></Item><Item><Data>mixed <b xmlns=\"urn:x\" id=\"1\">and</b> more</Data></Item></Replace>"
        ),
    );
    let message = read(Encoding::Xml, &xml);
    let Command::Replace(replace) = &message.commands[0] else { panic!() };
    let Some(Data::Markup(nodes)) = &replace.items[0].data else { panic!("{replace:?}") };
    let Node::Element(tree) = &nodes[0] else { panic!() };
    assert_eq!(tree.namespace.as_deref(), Some("syncml:dmddf1.2"));
    let Some(Data::Markup(mixed)) = &replace.items[1].data else { panic!() };
    assert_eq!(mixed.len(), 3);
    assert_eq!(encode(Encoding::Xml, &message).unwrap(), xml);
    let wbxml = encode(Encoding::Wbxml, &message).unwrap();
    let read_back = read(Encoding::Wbxml, &wbxml);
    assert_eq!(read_back, message);
    assert_eq!(encode(Encoding::Xml, &read_back).unwrap(), xml);
}

#[test]
fn dm_xml_in_cdata_stays_octets() {
    let xml =
        dm("1.2", "<Add><CmdID>1</CmdID><Item><Data><![CDATA[<DevInf><a/></DevInf>]]></Data></Item></Add>");
    let message = read(Encoding::Xml, &xml);
    let Command::Add(add) = &message.commands[0] else { panic!() };
    assert_eq!(add.items[0].data.as_ref().unwrap().as_bytes().unwrap(), &b"<DevInf><a/></DevInf>"[..]);
    assert_eq!(encode(Encoding::Xml, &message).unwrap(), xml);
}

#[test]
fn prefixes_are_as_good_as_default_namespaces() {
    let plain = whole(
        "<Alert><CmdID>1</CmdID><Data>200</Data><Item><Meta><Type xmlns='syncml:metinf'>a</Type></Meta></Item></Alert>",
    );
    let text = String::from_utf8(plain.to_vec()).unwrap();
    let prefixed = text
        .replace("<Type xmlns='syncml:metinf'>a</Type>", "<m:Type>a</m:Type>")
        .replace("xmlns=\"SYNCML:SYNCML1.2\"", "xmlns=\"SYNCML:SYNCML1.2\" xmlns:m=\"syncml:metinf\"");
    assert_eq!(read(Encoding::Xml, &prefixed.into()), read(Encoding::Xml, &plain));
}

#[test]
fn public_types_can_cross_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<Message>();
    crosses::<syncml::Reader<'static>>();
    crosses::<syncml::Writer>();
    crosses::<syncml::DecodeError>();
    crosses::<syncml::EncodeError>();
    crosses::<Quirks>();
    crosses::<syncml::san::ServerAlert>();
    crosses::<syncml::inspect::Inspection>();
}
