//! Mail as a [`Collection`]: what travels for an item, and what an item that came means.

use super::cut::{self, Left, Wanted};
use super::email::{self, Email};
use super::error::ObjectError;
use super::event::{self, MailEvent};
use super::flags::{MailFields, SendOutcome, SendState};
use super::folder::{self, Folder};
use super::forward::{self, About, OCTETS, Refusal as NotForwarded, Request, Way};
use super::headers::Headers;
use super::mailbox::{
    KIND_FOLDER, KIND_MAIL, RANK_MAIL, Role, both_keys, folder_value, mail_keys, moved_keys,
};
use super::outbox::{QUEUE, SendJob, date};
use super::params::{self, Parameters, Rule};
use super::since::{self, Since};
use super::splice::splice;
use super::stub;
use super::{accounts, news, rfc822, search, settings, time};
use crate::sync::collection::{
    Absorbed, Both, Collection, Context, Incoming, Projection, Refusal, Stop, Wire, described,
};
use crate::sync::filter::Filter;
use crate::sync::filter::cgi::{Expr, PARENT, Term};
use crate::sync::filter::legacy::Options;
use crate::sync::store::{Item, ItemValue, Row, StoreKey, Write};
use crate::sync::turn::{Missing, Reader};
use bytes::Bytes;
use idmap::Guid;
use syncml::{CtCap, CtType, DataStore, Ext, PropParam, Property, StatusCode, Version};

/// Accounts with settings of their own: their folders stand in the session.
const OWN_SETTINGS: usize = 4;

/// Mail and its folders.
///
/// One object serves servers and clients. A server refuses a mail that a client adds to the inbox (unless a slow
/// sync finds its like), leaves received mail as it is, and makes a send job of what enters the outbox. A client
/// takes what its server says.
///
/// ```
/// use mailsync_proto::mail::MailCollection;
/// use mailsync_proto::sync::collection::Collection;
/// let devinf = MailCollection::new("example.org").devinf("./mail", syncml::Version::V1_2);
/// assert_eq!(&*devinf.rx_pref.unwrap().ct_type, "application/vnd.omads-email+xml");
/// ```
#[derive(Clone, Debug)]
pub struct MailCollection {
    domain: Box<str>,
    takes_events: bool,
}

/// How an item is spelled for a peer.
enum Spelling {
    Email,
    Folder,
    Rfc822(Box<str>),
}

impl MailCollection {
    /// `domain` stands behind the `@` of every Message-ID that has to be made.
    pub fn new(domain: &str) -> Self {
        MailCollection { domain: domain.into(), takes_events: false }
    }

    /// Offers to be told what happened ([`event`]): for clients.
    #[must_use]
    pub fn with_events(self) -> Self {
        MailCollection { takes_events: true, ..self }
    }

    fn mail(&self, cx: &mut Context<'_, '_>, incoming: &Incoming<'_>, came: Came) -> Result<Absorbed, Stop> {
        let Came { mut email, folder, partial } = came;
        let existing = incoming.existing;
        if existing.is_some_and(|item| &*item.value.kind == KIND_FOLDER) {
            return Err(refuse(StatusCode::BAD_REQUEST, "a mail in place of a folder"));
        }
        let was = existing.and_then(|item| item.value.parent.clone());
        // A device that names no folder has written something and not said that it should be sent.
        let default = if incoming.server { Role::Drafts } else { Role::Inbox };
        let named = incoming.parent.cloned().or(folder.map(Role::guid));
        let parent = named.or_else(|| was.clone()).unwrap_or_else(|| default.guid());
        let (role, old_role) = (Role::of(&parent), was.as_ref().and_then(Role::of));

        let mut fields = match existing {
            Some(item) => MailFields::from_fields(&item.value.fields)?,
            None => MailFields::default(),
        };
        fields.merge(&email, incoming.server);
        let stands_for = email.item.as_deref().and_then(stub::of).filter(|_| incoming.server);
        let partial = partial
            || (email.item.is_some() && Left::of(&email.ext).is_some())
            || (stands_for.is_some() && stands_for.as_ref() == existing.map(|item| &item.guid));
        let whole = match (&email.item, existing) {
            (Some(part), None) if incoming.server && (partial || stands_for.is_some()) => {
                self.whole_of(cx, incoming, part, stands_for.as_ref())?
            }
            _ => None,
        };
        let mut draft = None;
        if incoming.server
            && !partial
            && matches!(role, Some(Role::Outbox | Role::Drafts))
            && let Some(message) = &email.item
            && let Some(request) = Request::of(&email.ext)?
        {
            let (about, whole) = about(cx, &request, message)?;
            fields.ext.retain(|known| !forward::is_ext(&known.xnam));
            fields.ext.extend(about.map(|about| about.to_ext()));
            draft = email.item.replace(whole);
        }
        if incoming.server && email.modified.is_none() {
            fields.modified = Some(cx.now);
        }
        let body = match (&email.item, existing) {
            (None, None) => {
                return Err(refuse(
                    StatusCode::INCOMPLETE,
                    "state without a message, of a mail that is not here",
                ));
            }
            (None, Some(_)) => None,
            (Some(_), None) if whole.is_some() => {
                let mut absorbed = Absorbed::new(ItemValue { rank: RANK_MAIL, ..ItemValue::default() });
                absorbed.same_as = whole;
                return Ok(absorbed);
            }
            (Some(_), None) if partial && incoming.server => {
                return Err(refuse(StatusCode::PARTIAL_ITEM_REFUSED, "a new mail must be whole"));
            }
            // What was cut replaces nothing, and what was received is not rewritten: e-mail facts §5.
            (Some(_), Some(_)) if partial && incoming.server => None,
            (Some(_), Some(_))
                if incoming.server && !matches!(old_role, Some(Role::Outbox | Role::Drafts)) =>
            {
                None
            }
            (Some(message), Some(item))
                if incoming.server && cx.body(&item.guid)?.as_ref() == Some(message) =>
            {
                None
            }
            (Some(message), _) => Some(message.clone()),
        };
        if let Some(message) = &body {
            fields.created = fields.created.or_else(|| date(&Headers::parse(message)));
        }
        if existing.is_none() && incoming.server {
            fields.received = fields.received.or(Some(cx.now));
        }
        fields.draft = role == Some(Role::Drafts);
        let match_keys = match (&body, existing) {
            // The device has the draft: by that a slow sync names the mail again.
            (Some(message), _) => match &draft {
                Some(draft) => both_keys(Some(&parent), message, draft),
                None => mail_keys(Some(&parent), message),
            },
            (None, Some(item)) => moved_keys(Some(&parent), &item.value.match_keys),
            (None, None) => Vec::new(),
        };
        let mut absorbed = Absorbed::new(ItemValue {
            rank: RANK_MAIL,
            parent: Some(parent),
            kind: KIND_MAIL.into(),
            fields: Bytes::new(),
            match_keys,
        });
        absorbed.body = body;
        if incoming.server {
            if role == Some(Role::Outbox) {
                self.outbox(cx, incoming, old_role, &mut fields, &mut absorbed)?;
            } else if old_role == Some(Role::Outbox) && is_queued(&fields) {
                // Taken out of the outbox before it was sent.
                fields.send = None;
                absorbed.effects.push(Write::Dequeue(QUEUE.into(), SendJob::id(cx.user, incoming.guid)));
            }
            if role == Some(Role::Inbox) && existing.is_none() {
                let why = "a client adds no mail to the inbox".to_owned();
                absorbed.unless_matched = Some((StatusCode::NOT_ALLOWED, why));
            }
        }
        absorbed.value.fields = match existing {
            // On a client it is the server's state, and no change.
            Some(item) if incoming.server => {
                fields.to_fields_since(&Since::after(item, absorbed.value.parent.as_ref(), &fields))
            }
            _ => fields.to_fields(),
        };
        Ok(absorbed)
    }

    /// The mail of ours of which a device has a part, if it has it under our id of it or the part names it: a slow sync names
    /// it again.
    // threat: S10
    fn whole_of(
        &self,
        cx: &mut Context<'_, '_>,
        incoming: &Incoming<'_>,
        part: &Bytes,
        stands_for: Option<&Guid>,
    ) -> Result<Option<Guid>, Stop> {
        let by_id = || incoming.peer_id.and_then(|id| Guid::try_from(id).ok());
        let Some(guid) = stands_for.cloned().or_else(by_id) else { return Ok(None) };
        let Some(item) = cx.item(&guid)?.filter(|item| !item.deleted) else { return Ok(None) };
        let Some(whole) = cx.body(&guid)? else { return Ok(None) };
        let id = |message: &[u8]| Headers::parse(message).first("Message-ID").map(|field| field.text());
        Ok((&*item.value.kind == KIND_MAIL && id(part) == id(&whole)).then_some(guid))
    }

    /// A mail is in the outbox after this change: is it to be sent?
    // mission: M1; threats: S12
    fn outbox(
        &self,
        cx: &mut Context<'_, '_>,
        incoming: &Incoming<'_>,
        old_role: Option<Role>,
        fields: &mut MailFields,
        absorbed: &mut Absorbed,
    ) -> Result<(), Stop> {
        if old_role == Some(Role::Outbox) {
            if absorbed.body.is_none() {
                return Ok(());
            }
            if is_queued(fields) {
                return Err(refuse(StatusCode::CONFLICT, "it is being sent"));
            }
        }
        let message = match (&absorbed.body, incoming.existing) {
            (Some(message), _) => Some(message.clone()),
            (None, Some(item)) => cx.body(&item.guid)?,
            (None, None) => None,
        };
        let Some(message) = message else {
            return Err(refuse(StatusCode::INCOMPLETE, "a mail to be sent has no message"));
        };
        let mut job = SendJob::new(cx.user, incoming.guid, &message, &self.domain, cx.now)
            .map_err(|why| Stop::Refuse(StatusCode::TOO_LARGE, why))?;
        job.about = About::of(&fields.ext);
        match cx.once(&job.once_key())? {
            None => {
                absorbed.effects = job.enqueue();
                fields.send = Some(SendState::new(SendOutcome::Queued));
            }
            // It failed, or was taken back, and is tried again.
            Some(guid) if guid == *incoming.guid && !was_sent(fields) => {
                absorbed.effects.push(job.enqueue_again());
                fields.send = Some(SendState::new(SendOutcome::Queued));
            }
            // It went while the device was away: what the device has is told where it is now.
            Some(guid) if guid == *incoming.guid && old_role != Some(Role::Outbox) => {
                absorbed.body = None;
                absorbed.same_as = Some(guid);
            }
            Some(guid) => {
                let other = if guid == *incoming.guid { None } else { cx.item(&guid)? };
                match other.filter(|item| !item.deleted) {
                    // The state stays as the device has it, so that it is told of the other one.
                    Some(_) if incoming.existing.is_none() => {
                        absorbed.body = None;
                        absorbed.same_as = Some(guid);
                    }
                    // Sent before; what is left is a copy.
                    _ => {
                        let sent = Role::Sent.guid();
                        absorbed.value.match_keys = moved_keys(Some(&sent), &absorbed.value.match_keys);
                        absorbed.value.parent = Some(sent);
                    }
                }
            }
        }
        Ok(())
    }

    fn folder(&self, incoming: &Incoming<'_>, folder: &Folder) -> Result<Absorbed, Stop> {
        if let Some(item) = incoming.existing {
            if &*item.value.kind != KIND_FOLDER {
                return Err(refuse(StatusCode::BAD_REQUEST, "a folder in place of a mail"));
            }
            // The folders that everyone has stay what they are.
            if Role::of(&item.guid).is_some() {
                return Ok(Absorbed::new(item.value.clone()));
            }
            let parent = incoming.parent.cloned().or_else(|| item.value.parent.clone());
            return Ok(Absorbed::new(folder_value(folder, parent)));
        }
        if let Some(role) = Role::of_folder(folder) {
            let mut absorbed = Absorbed::new(role.value());
            absorbed.same_as = (role.guid() != *incoming.guid).then(|| role.guid());
            return Ok(absorbed);
        }
        Ok(Absorbed::new(folder_value(folder, incoming.parent.cloned())))
    }

    fn spelling(item: &Item, accepts: &[Box<str>]) -> Option<Spelling> {
        let takes = |types: &[&str]| {
            let mut bare = accepts.iter().map(|a| a.split(';').next().unwrap_or_default().trim());
            bare.find(|a| types.iter().any(|t| a.eq_ignore_ascii_case(t)))
        };
        if &*item.value.kind == KIND_FOLDER {
            let known = accepts.is_empty() || takes(&[folder::MEDIA_TYPE, "*/*"]).is_some();
            return known.then_some(Spelling::Folder);
        }
        if accepts.is_empty() || takes(&[email::MEDIA_TYPE, "*/*"]).is_some() {
            return Some(Spelling::Email);
        }
        takes(&rfc822::MEDIA_TYPES).map(|t| Spelling::Rfc822(t.into()))
    }
}

impl Collection for MailCollection {
    fn devinf(&self, source_ref: &str, version: Version) -> DataStore {
        let mail = CtType::new(email::MEDIA_TYPE, email::VERSION);
        let types = [
            mail.clone(),
            CtType::new(folder::MEDIA_TYPE, folder::VERSION),
            CtType::new(rfc822::MEDIA_TYPE, rfc822::VERSION),
        ];
        let mut store = described(source_ref, "Mail", &types);
        if self.takes_events {
            store.rx.push(CtType::new(event::MEDIA_TYPE, event::VERSION));
        }
        if version == Version::V1_2 {
            let names = ["name", "created", "modified", "role", "Ext"];
            store.support_hierarchical_sync = true;
            store.filter_rx = vec![CtType::new(crate::sync::filter::GRAMMAR, "1.0")];
            store.filter_caps = vec![search::filter_cap(mail.clone())];
            store.ct_caps = vec![
                with_fields(cap(mail.clone(), &EMAIL_PROPERTIES)),
                cap(CtType::new(folder::MEDIA_TYPE, folder::VERSION), &names),
                cap(CtType::new(rfc822::MEDIA_TYPE, rfc822::VERSION), &["emailitem"]),
            ];
        }
        store
    }

    fn notice_type(&self) -> Option<&str> {
        Some(event::MEDIA_TYPE)
    }

    fn notice(
        &self,
        reader: &mut Reader<'_>,
        store: &StoreKey,
        rows: (u64, &[Row]),
        max_id: Option<u32>,
    ) -> Result<Option<Bytes>, Missing> {
        let told = news::of_rows(reader, store, rows, false)?;
        let max_id = max_id.and_then(|size| usize::try_from(size).ok());
        Ok((!told.is_empty()).then(|| MailEvent::fold(&told, max_id).to_xml()))
    }

    fn needs_body(&self, projection: &Projection<'_>) -> bool {
        match Self::spelling(projection.item, projection.accepts) {
            // The bare message has nowhere to say that it is left out.
            Some(Spelling::Rfc822(_)) => true,
            Some(Spelling::Email) => !projection.fields_only,
            Some(Spelling::Folder) | None => false,
        }
    }

    fn project(&self, projection: &Projection<'_>, body: Option<&Bytes>) -> Result<Wire, Refusal> {
        let item = projection.item;
        let stored = |e: ObjectError| Refusal { reason: e.to_string() };
        let message = || body.ok_or_else(|| Refusal { reason: "its message is not here".into() });
        match Self::spelling(item, projection.accepts) {
            None => Err(Refusal { reason: format!("the peer does not take {}", item.value.kind) }),
            Some(Spelling::Folder) => {
                let folder = Folder::from_fields(&item.value.fields).map_err(stored)?;
                Ok(Wire { media_type: folder::MEDIA_TYPE.into(), data: folder.to_xml() })
            }
            Some(Spelling::Email) => {
                let (mut email, _) = state_of(projection)?;
                if !projection.fields_only {
                    let part = part_for(projection, message()?);
                    email.ext.extend(part.left.iter().flat_map(Left::to_ext));
                    email.item = Some(part.message);
                }
                Ok(Wire { media_type: email::MEDIA_TYPE.into(), data: email.to_xml() })
            }
            Some(Spelling::Rfc822(media_type)) => {
                let (email, asks) = state_of(projection)?;
                let role = item.value.parent.as_ref().and_then(Role::of);
                // A bare message has no extension to say it.
                let part = match asks {
                    Some(asks) => Part::whole(asks.before(message()?).into()),
                    None => part_for(projection, message()?),
                };
                let limit = part.left.filter(Left::is_partial).map(|_| part.text);
                Ok(Wire { media_type, data: rfc822::write(&part.message, &email, role, limit) })
            }
        }
    }

    fn same_state(&self, a: &ItemValue, b: &ItemValue) -> bool {
        let shown = |value: &ItemValue| Some(MailFields::from_fields(&value.fields).ok()?.marks());
        if a.parent != b.parent || a.kind != b.kind {
            return false;
        }
        // Dates and outcomes are the server's to know: a device that does not give them back has changed nothing.
        match (&*a.kind == KIND_MAIL, shown(a), shown(b)) {
            (true, Some(a), Some(b)) => a == b,
            _ => a.fields == b.fields,
        }
    }

    fn merge(&self, both: &Both<'_>) -> ItemValue {
        let is_mail = &*both.ours.value.kind == KIND_MAIL;
        let merged = if is_mail { since::merged(both) } else { None };
        merged.unwrap_or_else(|| both.ours.value.clone())
    }

    fn delete_beats_edit(&self) -> bool {
        true
    }

    fn takes_field_level(&self) -> bool {
        true
    }

    fn has_property(&self, name: &str) -> bool {
        search::knows(name)
    }

    fn property(&self, item: &Item, body: Option<&Bytes>, name: &str) -> Vec<String> {
        search::values(item, body, name)
    }

    fn property_needs_body(&self, name: &str) -> bool {
        search::needs_message(name)
    }

    fn takes_fields(&self, fields: &[Property]) -> bool {
        fields
            .iter()
            .all(|field| EMAIL_PROPERTIES.iter().any(|known| known.eq_ignore_ascii_case(&field.prop_name)))
    }

    // mission: M5
    fn is_state(&self, fields: &[Property]) -> bool {
        let message = |field: &Property| field.prop_name.trim().eq_ignore_ascii_case(cut::PROPERTY);
        !fields.is_empty() && self.takes_fields(fields) && !fields.iter().any(message)
    }

    // quirk: Synthesis and Funambol, e-mail facts §7
    fn fields_of(&self, options: &Options) -> Option<Vec<Property>> {
        if options.limit.is_none() && !options.no_attachments {
            return None;
        }
        let mut item = Property::default();
        item.prop_name = "emailitem".into();
        item.max_size = options.limit;
        item.params.push(param("texttype"));
        if !options.no_attachments {
            item.params.push(param("attachtype"));
        }
        Some(vec![item])
    }

    fn is_container(&self, value: &ItemValue) -> bool {
        &*value.kind == KIND_FOLDER
    }

    fn absorb(&self, cx: &mut Context<'_, '_>, incoming: &Incoming<'_>) -> Result<Absorbed, Stop> {
        let media_type = match incoming.media_type {
            "" => sniff(incoming.data),
            named => named,
        };
        match media_type {
            email::MEDIA_TYPE => {
                let email = Email::parse(incoming.data)?;
                self.mail(cx, incoming, Came { email, folder: None, partial: false })
            }
            folder::MEDIA_TYPE => self.folder(incoming, &Folder::parse(incoming.data)?),
            named if rfc822::MEDIA_TYPES.contains(&named) => {
                let simple = rfc822::read(incoming.data);
                let came = Came { email: simple.email, folder: simple.folder, partial: simple.partial };
                self.mail(cx, incoming, came)
            }
            other => {
                let other: String = other.chars().take(80).collect();
                Err(Stop::Refuse(StatusCode::UNSUPPORTED_TYPE, format!("{other:?} is no type of mail")))
            }
        }
    }

    // mission: M11
    fn within(&self, asked: Option<Filter>, theirs: &DataStore) -> Option<Filter> {
        // What is fetched now is meant as it was said, and of states all fit.
        if asked.as_ref().is_some_and(|asked| asked.inclusive || asked.is_state(self)) {
            return asked;
        }
        let device = Wanted::of_device(theirs, email::MEDIA_TYPE);
        let whole = [Wanted::WHOLE.to_property()];
        let was = asked.as_ref().and_then(|asked| asked.fields.as_deref()).unwrap_or(&whole);
        let fields: Vec<Property> = was.iter().map(|field| cut::narrowed(field, &device)).collect();
        if fields == was {
            return asked;
        }
        let (record, inclusive) = asked.map_or((None, false), |asked| (asked.record, asked.inclusive));
        Some(Filter { record, fields: Some(fields), inclusive })
    }

    fn least(&self) -> Option<Vec<Property>> {
        Some(vec![Wanted::HEADER.to_property()])
    }

    // mission: M9
    fn agreed(
        &self,
        cx: &mut Context<'_, '_>,
        device: &str,
        asked: Option<Filter>,
    ) -> Result<(Option<Filter>, Option<String>), Missing> {
        let asked = match asked {
            Some(asked) => Some(of_accounts(cx, device, asked)?),
            None => None,
        };
        // What is fetched now is meant as it was said, and so is what is no wish for mail at all.
        if asked.as_ref().is_some_and(|asked| asked.inclusive || asked.is_state(self)) {
            return Ok((asked, None));
        }
        let settings::Stored { parameters: stored, rule, accounts } = settings::stored(cx, device)?;
        if stored == Parameters::default() && accounts.is_empty() {
            return Ok((asked, None));
        }
        let fields = asked.as_ref().and_then(|asked| asked.fields.as_deref());
        let client = Parameters::of_filter(fields);
        let merged = params::merge(&client, &stored, rule);
        let wanted = merged.wanted();
        let mut special = Vec::new();
        for (address, own) in accounts.iter().take(OWN_SETTINGS) {
            let there = params::merge(&client, &stored.under(own), rule).wanted();
            let folders = accounts::folders(cx, device, address)?;
            if there != wanted && !folders.is_empty() {
                special.push(there.to_property_in(&folders));
            }
        }
        let fields = match (fields, wanted == Wanted::WHOLE && special.is_empty()) {
            (None, true) => None,
            (others, _) => {
                let is_item = |field: &&Property| !field.prop_name.trim().eq_ignore_ascii_case(cut::PROPERTY);
                let others = others.unwrap_or_default().iter().filter(is_item).cloned();
                Some(others.chain([wanted.to_property()]).chain(special).collect())
            }
        };
        // The device's window is its own expression: it stays, or the stored one takes its place. What a sync is for is none.
        let scope = asked.as_ref().is_some_and(Filter::is_scope);
        let own = asked.and_then(|asked| asked.record);
        let days = merged.days.value.filter(|_| !scope && (own.is_none() || rule == Rule::ServerWins));
        let record = match days.and_then(|days| window(cx.now, days)) {
            Some(window) => Some(window),
            None => own,
        };
        let overruled: Vec<String> = merged
            .told()
            .into_iter()
            .filter(|(_, _, _, overruled)| *overruled)
            .map(|(name, value, side, _)| format!("{name} is {value}, the {side} wins"))
            .collect();
        let overruled = (!overruled.is_empty()).then(|| overruled.join("; "));
        if fields.is_none() && record.is_none() {
            return Ok((None, overruled));
        }
        Ok((Some(Filter { record, fields, inclusive: false }), overruled))
    }

    // mission: M6
    fn command(
        &self,
        cx: &mut Context<'_, '_>,
        command: &str,
        incoming: &Incoming<'_>,
    ) -> Result<Option<Absorbed>, Stop> {
        let Some(kind) = forward::Kind::parse(command) else { return Ok(None) };
        if !["", email::MEDIA_TYPE].contains(&incoming.media_type) {
            return Err(refuse(StatusCode::UNSUPPORTED_TYPE, "a command takes the e-mail object"));
        }
        let email = Email::parse(incoming.data)?;
        if Request::of(&email.ext)?.is_none_or(|request| request.kind != kind) {
            return Err(refuse(StatusCode::BAD_REQUEST, "the object does not say what the command does"));
        }
        let outbox = Role::Outbox.guid();
        let incoming = incoming.clone().with_parent(Some(&outbox));
        self.mail(cx, &incoming, Came { email, folder: None, partial: false }).map(Some)
    }

    fn extensions(&self) -> Vec<Ext> {
        let ways = Way::ALL.iter().map(|way| way.as_str().into());
        vec![Ext { xnam: forward::EXT_FORWARD.into(), xval: ways.collect() }]
    }

    fn removed(&self, cx: &mut Context<'_, '_>, item: &Item, server: bool) -> Result<Vec<Write>, Stop> {
        if Role::of(&item.guid).is_some() {
            return Err(refuse(StatusCode::NOT_ALLOWED, "everyone has this folder"));
        }
        let in_outbox = item.value.parent.as_ref().and_then(Role::of) == Some(Role::Outbox);
        if server && in_outbox && is_queued(&MailFields::from_fields(&item.value.fields)?) {
            return Ok(vec![Write::Dequeue(QUEUE.into(), SendJob::id(cx.user, &item.guid))]);
        }
        Ok(Vec::new())
    }
}

/// What goes of a message.
struct Part {
    message: Bytes,
    /// What does not, if that was asked.
    left: Option<Left>,
    /// Octets behind the header; none where a text of ours stands for them.
    text: u64,
}

impl Part {
    fn whole(message: Bytes) -> Part {
        Part { message, left: None, text: 0 }
    }
}

/// What a peer gets of a message: what it wants; a text in place of what it cannot take.
fn part_for(projection: &Projection<'_>, message: &Bytes) -> Part {
    let item = projection.item;
    let Some(fields) = projection.fields else { return Part::whole(message.clone()) };
    let cut = cut::cut(message, &Wanted::of_in(fields, item.value.parent.as_ref()));
    let text = cut.message.len().saturating_sub(Headers::parse(&cut.message).body) as u64;
    let by_device = projection.reduced || fields.iter().any(cut::is_of_device);
    // mission: M11
    let message = match cut.left.is_partial() && text == 0 && by_device {
        true => stub::write(message, &item.guid, &cut.left),
        false => cut.message,
    };
    Part { message, left: Some(cut.left), text }
}

const EMAIL_PROPERTIES: [&str; 10] = [
    "read",
    "forwarded",
    "replied",
    "received",
    "created",
    "modified",
    "deleted",
    "flagged",
    "emailitem",
    "Ext",
];

/// A mail as a peer spelled it.
struct Came {
    email: Email,
    folder: Option<Role>,
    partial: bool,
}

impl From<ObjectError> for Stop {
    fn from(error: ObjectError) -> Self {
        Stop::Refuse(error.status(), error.to_string())
    }
}

/// A filter whose accounts are the folders that they have here.
// mission: M8b
fn of_accounts(cx: &mut Context<'_, '_>, device: &str, asked: Filter) -> Result<Filter, Missing> {
    let Some(record) = asked.record else { return Ok(asked) };
    let is_account = |term: &Term| term.name.eq_ignore_ascii_case(search::ACCOUNT);
    let mut folders = Vec::new();
    for term in record.terms().filter(|term| is_account(term)) {
        let mut of_term = vec![Role::Outbox.guid()];
        for luid in term.value.iter().flat_map(|value| value.split(',')).map(str::trim) {
            of_term.extend(accounts::folders(cx, device, luid)?);
        }
        folders.push((term.clone(), of_term));
    }
    let record = record.replaced(|term| {
        let (_, folders) = folders.iter().find(|(of, _)| of == term)?;
        Some(Expr::any_of(PARENT, folders.iter().map(Guid::as_str)))
    });
    Ok(Filter { record: Some(record), ..asked })
}

/// Mail of so many days, whole days: the same expression all day long.
fn window(now: u64, days: u32) -> Option<Expr> {
    let today = now / 86_400;
    let from = today.saturating_sub(u64::from(days)).saturating_mul(86_400);
    Expr::parse(&format!("received&GE;{}", time::to_basic(from))).ok()
}

impl From<NotForwarded> for Stop {
    fn from(refusal: NotForwarded) -> Self {
        Stop::Refuse(refusal.status(), refusal.to_string())
    }
}

/// The mail that a draft is about, and the draft with what it takes of it. Where it takes nothing, a mail that cannot be
/// found costs the mark only.
// mission: M6; threats: S5, L2
fn about(cx: &mut Context<'_, '_>, request: &Request, draft: &Bytes) -> Result<(Option<About>, Bytes), Stop> {
    match original(cx, request)? {
        Ok((guid, original)) => {
            let whole = splice(request, draft, &original)?;
            Ok((Some(About { kind: request.kind, guid }), whole))
        }
        Err(refusal) if request.takes_any() => Err(refusal.into()),
        Err(_) => Ok((None, forward::without_field(draft))),
    }
}

fn original(
    cx: &mut Context<'_, '_>,
    request: &Request,
) -> Result<Result<(Guid, Bytes), NotForwarded>, Missing> {
    let number = || request.number.clone();
    let Some(guid) = cx.by_number(&request.number)? else { return Ok(Err(NotForwarded::Unknown(number()))) };
    let Some(item) = cx.item(&guid)?.filter(|item| !item.deleted) else {
        return Ok(Err(NotForwarded::Gone(number())));
    };
    if &*item.value.kind != KIND_MAIL {
        return Ok(Err(NotForwarded::NotThat(format!("{} is a folder", request.number))));
    }
    if item.size > OCTETS {
        let (what, value) = ("octets of the original", item.size);
        return Ok(Err(NotForwarded::Limit { what, value, limit: OCTETS }));
    }
    if !cx.spend(item.size) {
        return Ok(Err(NotForwarded::Later));
    }
    let body = cx.body(&guid)?;
    Ok(body.map(|body| (guid, body)).ok_or_else(|| NotForwarded::Gone(number())))
}

/// The state of a mail, and which other one it is about, if the peer can do with it what it asks for.
fn state_of(projection: &Projection<'_>) -> Result<(Email, Option<Request>), Refusal> {
    let fields = MailFields::from_fields(&projection.item.value.fields);
    let email = fields.map_err(|error| Refusal { reason: error.to_string() })?.to_email();
    let asks = Request::of(&email.ext).ok().flatten();
    if asks.as_ref().is_some_and(Request::takes_any) && !projection.extended {
        // It would send a mail of which the better part is missing.
        return Err(Refusal { reason: "the server does not forward by number".into() });
    }
    Ok((email, asks.filter(|_| projection.extended)))
}

fn refuse(status: StatusCode, why: &str) -> Stop {
    Stop::Refuse(status, why.to_owned())
}

fn is_queued(fields: &MailFields) -> bool {
    fields.send.as_ref().is_some_and(|s| matches!(s.outcome, SendOutcome::Queued | SendOutcome::Unknown))
}

fn was_sent(fields: &MailFields) -> bool {
    fields.send.as_ref().is_some_and(|s| matches!(s.outcome, SendOutcome::Sent | SendOutcome::Partly))
}

/// What an object without a type is: the two XML types show by their root.
fn sniff(data: &[u8]) -> &'static str {
    let head = data.get(..data.len().min(512)).unwrap_or_default();
    let has = |tag: &[u8]| head.windows(tag.len()).any(|w| w == tag);
    if head.trim_ascii_start().first() != Some(&b'<') {
        rfc822::MEDIA_TYPE
    } else if has(b"<Folder") {
        folder::MEDIA_TYPE
    } else {
        email::MEDIA_TYPE
    }
}

fn cap(ct_type: CtType, names: &[&str]) -> CtCap {
    let mut cap = CtCap::default();
    cap.ct_type = ct_type;
    cap.properties = names
        .iter()
        .map(|name| {
            let mut property = Property::default();
            property.prop_name = (*name).into();
            if *name == "emailitem" {
                property.params = ["texttype", "attachtype"].map(param).to_vec();
            }
            property
        })
        .collect();
    cap
}

fn param(name: &str) -> PropParam {
    let mut param = PropParam::default();
    param.param_name = name.into();
    param
}

/// Of which single fields may come.
fn with_fields(mut cap: CtCap) -> CtCap {
    cap.field_level = true;
    cap
}
