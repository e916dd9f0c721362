//! What the peer's message asks, command by command.

use super::ask::Ask;
use super::atomic::MAX_ATOMICS;
use super::exchange::{Exchange, Level};
use super::link::Sent;
use crate::model::{Alert, AlertCode, Command, Data, DevInf, Get, Item, Search, Status, StatusCode, Version};

impl<'m> Exchange<'m> {
    pub(super) fn ask(&mut self, command: &'m Command, in_sync: bool) -> Option<Ask<'m>> {
        match command {
            Command::Add(change)
            | Command::Replace(change)
            | Command::Delete(change)
            | Command::Copy(change)
            | Command::Move(change)
                if in_sync =>
            {
                return self.change(command, change);
            }
            Command::Alert(alert) => return self.alert(command, alert),
            _ => self.advance(),
        }
        match command {
            Command::Sync(sync) if !in_sync => {
                self.heard = true;
                self.stack.push(Level { in_sync: true, ..Level::of(&sync.commands) });
                let target = sync.target.as_ref().map_or("", |t| &t.loc_uri);
                let source = sync.source.as_ref().map_or("", |s| &s.loc_uri);
                // quirk: Sony Ericsson C510 leaves the target empty
                let target = if target.is_empty() { source } else { target };
                self.sync_target = target.into();
                let slot =
                    self.slot(command, sync.target.as_ref(), sync.source.as_ref(), sync.no_resp, false);
                let mem = sync.meta.as_ref().and_then(|meta| meta.mem.as_deref());
                Some(Ask::Sync { slot, target, source, number_of_changes: sync.number_of_changes, mem })
            }
            Command::Sequence(nest) => {
                self.status(command, nest.no_resp, StatusCode::OK);
                self.stack.push(Level { in_sync, ..Level::of(&nest.commands) });
                None
            }
            Command::Atomic(nest) => {
                self.heard = true;
                self.atomics = self.atomics.saturating_add(1);
                if self.atomics > MAX_ATOMICS {
                    self.refuse(command, StatusCode::RETRY_LATER);
                    return None;
                }
                let slot = self.slot(command, None, None, nest.no_resp, false);
                self.expect_answer(&slot, StatusCode::NOT_SUPPORTED, Some(nest));
                Some(Ask::AtomicBegin(slot))
            }
            Command::Exec(exec) => {
                self.heard = true;
                let target = exec.items.first().and_then(|item| item.target.as_ref());
                let slot = self.slot(command, target, None, exec.no_resp, false);
                self.expect_answer(&slot, StatusCode::NOT_SUPPORTED, None);
                Some(Ask::Exec { slot, exec })
            }
            Command::Search(search) => {
                self.heard = true;
                let slot =
                    self.slot(command, search.target.as_ref(), search.sources.first(), search.no_resp, false);
                let otherwise =
                    if is_cgi(search) { StatusCode::NOT_SUPPORTED } else { StatusCode::UNKNOWN_GRAMMAR };
                self.expect_answer(&slot, otherwise, None);
                Some(Ask::Search { slot, search })
            }
            Command::Map(map) => {
                self.heard = true;
                let slot = self.slot(command, Some(&map.target), Some(&map.source), false, false);
                Some(Ask::Map { slot, target: &map.target.loc_uri, items: &map.items })
            }
            Command::Put(put) => self.put(command, put),
            Command::Get(get) => self.get(command, get),
            Command::Results(results) => {
                self.status(command, false, StatusCode::OK);
                results.items.iter().find_map(devinf_of).map(Ask::DevInf)
            }
            Command::Unknown(element) => {
                self.heard = true;
                self.unknown(element, StatusCode::NOT_IMPLEMENTED);
                None
            }
            // Known, but not here: refused without harm, contents untouched.
            other => {
                self.heard = true;
                self.refuse(other, if in_sync { StatusCode::NOT_SUPPORTED } else { StatusCode::NOT_ALLOWED });
                None
            }
        }
    }

    fn alert(&mut self, command: &'m Command, alert: &'m Alert) -> Option<Ask<'m>> {
        let level = self.stack.last_mut()?;
        let item = alert.items.get(level.item);
        level.item = level.item.saturating_add(1);
        let last = level.item >= alert.items.len();
        let first = level.item == 1;
        if last {
            self.advance();
        }
        let code = alert.code.unwrap_or(AlertCode::TWO_WAY);
        match code {
            AlertCode::NEXT_MESSAGE => {
                if first {
                    let slot = self.slot(command, None, None, alert.no_resp, false);
                    self.answer_next(&slot);
                }
                None
            }
            // spec: session facts section 8: 221 means "go on", where there is something to go on with
            AlertCode::RESULT => {
                if first {
                    let code = if self.link.our_msg > 1 { StatusCode::OK } else { StatusCode::BAD_REQUEST };
                    self.status(command, alert.no_resp, code);
                }
                None
            }
            // spec: session facts section 7: with items, or none
            AlertCode::SUSPEND if self.link.version >= Version::V1_2 => {
                if !first {
                    return None;
                }
                self.heard = true;
                self.status(command, alert.no_resp, StatusCode::OK);
                Some(self.suspended_by_peer())
            }
            AlertCode::NO_END_OF_DATA => {
                if first {
                    self.status(command, alert.no_resp, StatusCode::OK);
                }
                self.link.outgoing.take().map(|object| Ask::Answered {
                    tag: object.tag,
                    code: StatusCode::INCOMPLETE,
                    object_dropped: true,
                })
            }
            AlertCode::DISPLAY => {
                if first {
                    self.status(command, alert.no_resp, StatusCode::OK);
                }
                let text = item?.data.as_ref()?.as_bytes()?;
                std::str::from_utf8(text).ok().map(Ask::Display)
            }
            AlertCode(200..=210 | 225) if code != AlertCode::RESUME || self.link.version >= Version::V1_2 => {
                self.heard = true;
                let Some(item) = item else {
                    self.status(command, alert.no_resp, StatusCode::INCOMPLETE);
                    return None;
                };
                let source = item.source.as_ref().map_or("", |s| &s.loc_uri);
                let target = item.target.as_ref().map_or("", |t| &t.loc_uri);
                // quirk: Sony Ericsson C510 leaves the target empty
                let target = if target.is_empty() { source } else { target };
                let many = alert.items.len() > 1;
                let slot =
                    self.slot(command, item.target.as_ref(), item.source.as_ref(), alert.no_resp, many);
                let anchor = item.meta.as_ref().and_then(|m| m.anchor.as_deref());
                if let Some(max) = item.meta.as_ref().and_then(|m| m.max_obj_size) {
                    self.link.peer_max_obj = Some(max);
                }
                Some(Ask::Alert { slot, code, target, source, anchor, item })
            }
            _ => {
                if first {
                    self.status(command, alert.no_resp, StatusCode::NOT_SUPPORTED);
                }
                None
            }
        }
    }

    fn put(&mut self, command: &'m Command, put: &'m Get) -> Option<Ask<'m>> {
        self.heard = true;
        let devinf = put.items.iter().find_map(devinf_of);
        let code = if devinf.is_some() { StatusCode::OK } else { StatusCode::NOT_SUPPORTED };
        self.status(command, put.no_resp, code);
        devinf.map(Ask::DevInf)
    }

    fn get(&mut self, command: &'m Command, get: &'m Get) -> Option<Ask<'m>> {
        self.heard = true;
        let item = get.items.first()?;
        let target = item.target.as_ref().map_or("", |t| &t.loc_uri);
        let slot = self.slot(command, item.target.as_ref(), None, get.no_resp, false);
        if target.trim_start_matches("./").starts_with("devinf") {
            return Some(Ask::GetDevInf(slot));
        }
        self.answer(&slot, StatusCode::NOT_FOUND);
        None
    }

    pub(super) fn answered(&mut self, status: &'m Status) -> Option<Ask<'m>> {
        if status.cmd_ref == 0 {
            return Some(Ask::Header { code: status.data, chal: status.chal.as_deref() });
        }
        let fits = |sent: &Sent| {
            sent.cmd_id == status.cmd_ref && status.msg_ref.is_none_or(|msg_ref| msg_ref == sent.msg_id)
        };
        let index = self.link.sent.iter().position(fits)?;
        let sent = self.link.sent.remove(index);
        let chunk = self.link.outgoing.as_ref().is_some_and(|object| object.tag == sent.tag);
        if chunk {
            if status.data.is_success() {
                let sent = self.link.outgoing.as_ref().map_or(0, |object| object.sent);
                self.link.more.answered = sent;
                return None;
            }
            // A status other than 213 on a chunk: stop.
            self.link.outgoing = None;
        }
        Some(Ask::Answered { tag: sent.tag, code: status.data, object_dropped: chunk })
    }
}

fn devinf_of(item: &Item) -> Option<&DevInf> {
    match &item.data {
        Some(Data::DevInf(devinf)) => Some(devinf),
        _ => None,
    }
}

/// Whether a query is written as a filter is.
// spec: session facts section 6
fn is_cgi(search: &Search) -> bool {
    let grammar = search.meta.as_ref().and_then(|meta| meta.type_.as_deref());
    grammar.is_some_and(|name| name.eq_ignore_ascii_case("syncml:filtertype-cgi"))
}
