//! Who is who: the server's proof, where one is asked for, and what is kept for the next login.

use super::super::core::Core;
use super::super::devinf;
use super::super::store::{Device, Read, Value, Write};
use super::super::turn::Missing;
use super::{Answer, Config, Run, TurnError};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use syncml::session::{ClientConfig, ClientExchange, ClientSession, ServerCheck, auth};

/// Begins the answer, the server's proof checked.
pub(super) fn receive<'m>(
    core: &mut Core<'_, '_>,
    config: &'m Config,
    session: ClientSession,
    answer: &'m Answer,
) -> Result<Result<ClientExchange<'m>, Missing>, TurnError> {
    let Some(server) = &config.server_login else {
        return Ok(Ok(session.receive(&config.session, &answer.message, None)?));
    };
    let kept = match core.reader.read(Read::Device(core.user.clone(), core.device.clone())) {
        Ok(Value::Device(Some(kept))) => kept.clone(),
        Ok(_) => Device::default(),
        Err(missing) => return Ok(Err(missing)),
    };
    let verifier = auth::verifier(&server.name, &server.password);
    let check = ServerCheck {
        name: &server.name,
        verifier: &verifier,
        scheme: server.scheme,
        nonce_key: &nonce_key(&config.session),
        logins: kept.logins,
        now: core.at.now,
        digest: answer.digest,
        mac: answer.mac.as_deref(),
    };
    let ex = session.receive(&config.session, &answer.message, Some(&check))?;
    if ex.nonce_used {
        let kept = Device { logins: kept.logins.saturating_add(1), ..kept };
        core.batch.push(Write::PutDevice(core.user.clone(), core.device.clone(), kept));
    }
    Ok(Ok(ex))
}

/// The key of the nonces that we give to servers: nobody else has our password.
fn nonce_key(config: &ClientConfig) -> [u8; 32] {
    Sha256::digest(format!("nonce\0{}\0{}\0{}", config.device, config.user, config.password)).into()
}

/// The nonce with which the server proves itself next, in Package #0 too; empty where none was agreed on.
pub(super) fn nonce_for_server(config: &Config, kept: &Device) -> Vec<u8> {
    match &config.server_login {
        Some(server) if kept.logins > 0 => auth::Nonces {
            key: &nonce_key(&config.session),
            user: &server.name,
            device: &config.session.device,
            logins: kept.logins,
        }
        .of_last_login()
        .to_vec(),
        _ => Vec::new(),
    }
}

impl Run<'_, '_> {
    /// Keeps the server's nonce and what it knows of us.
    pub(super) fn keep_login(&mut self, ex: &ClientExchange<'_>) {
        let session = ex.is_suspended().then(|| self.core.token.clone());
        let ours = self.devinf(ex.version());
        let read = Read::Device(self.core.user.clone(), self.core.device.clone());
        // Where servers must prove who they are, the turn has read it.
        let logins = match self.config.server_login.as_ref().map(|_| self.core.reader.read(read)) {
            Some(Ok(Value::Device(Some(kept)))) => kept.logins,
            _ => 0,
        };
        let device = Device {
            nonce: ex.next_nonce().map(Bytes::copy_from_slice),
            logins: logins.saturating_add(u64::from(ex.nonce_used)),
            session,
            devinf: devinf::with_flags(&ours, self.state.server),
        };
        self.core.batch.push(Write::PutDevice(self.core.user.clone(), self.core.device.clone(), device));
    }
}
