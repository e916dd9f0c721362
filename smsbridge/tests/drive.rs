//! Both ends over real sockets on 127.0.0.1.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, clippy::disallowed_types)]

use bytes::Bytes;
use smsbridge::smtp::drive::{Clock, Delivered, End, Host, deliver, serve};
use smsbridge::smtp::{EnhancedCode, Envelope, MailFrom, Recipient, Reply, client, server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Default)]
struct Memory(Vec<(Envelope, Bytes)>);

impl Host for Memory {
    async fn mail(&mut self, _: &MailFrom) -> Result<(), Reply> {
        Ok(())
    }
    async fn rcpt(&mut self, to: &Recipient) -> Result<(), Reply> {
        match to.address.mailbox() {
            Some(mailbox) if mailbox.domain() == "here.example" => Ok(()),
            _ => Err(Reply::new(550, EnhancedCode(5, 7, 1), "Relaying denied")),
        }
    }
    async fn message(&mut self, envelope: Envelope, body: Bytes) -> Vec<Reply> {
        self.0.push((envelope, body));
        vec![Reply::new(250, EnhancedCode(2, 0, 0), "Stored")]
    }
    async fn auth(&mut self, credentials: server::Credentials) -> Option<bool> {
        Some(credentials.user == "tim" && credentials.password.expose() == "tanstaaf")
    }
}

fn server_config() -> server::Config {
    let mut config = server::Config::new("mx.example");
    config.auth = server::AuthPolicy::Required;
    config.auth_in_clear = true;
    config.starttls = true;
    config
}

/// One link; the "handshake" of this test is to go on in clear.
async fn run_server(stream: TcpStream) -> Memory {
    let clock = Clock::start();
    let mut session = server::Session::new(server_config(), clock.now());
    let mut host = Memory::default();
    let mut stream = stream;
    while let End::StartTls(clear) = serve(stream, &mut session, clock, &mut host).await.unwrap() {
        session.tls_started(clock.now()).unwrap();
        stream = clear;
    }
    host
}

fn client_config(password: &str) -> client::Config {
    let mut config = client::Config::new("client.example");
    let password = password.to_owned().into();
    config.auth = Some(client::Auth::Password { user: "tim".into(), password });
    config
}

#[tokio::test]
async fn a_large_message_goes_through_both_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { run_server(listener.accept().await.unwrap().0).await });
    let body = Bytes::from(b"a line\r\n.\r\n..dots\r\n".repeat(200_000));

    let clock = Clock::start();
    let mut session = client::Session::new(client_config("tanstaaf"), clock.now());
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut outcome = None;
    loop {
        match deliver(stream, &mut session, clock).await.unwrap() {
            Delivered::Event(same, event) => {
                stream = same;
                match event {
                    client::Event::Ready(_) => {
                        let to = ["ann@here.example", "bob@there.example"];
                        let to = to.map(|to| Recipient::new(to.parse().unwrap())).to_vec();
                        let from = MailFrom::new("tim@here.example".parse().unwrap());
                        session.send(clock.now(), client::Submission::new(from, to, body.clone())).unwrap();
                    }
                    client::Event::Sent(sent) => {
                        outcome = Some(sent);
                        session.quit(clock.now()).unwrap();
                    }
                    other => panic!("{other:?}"),
                }
            }
            Delivered::End(End::StartTls(clear)) => {
                stream = clear;
                session.tls_started(clock.now()).unwrap();
            }
            Delivered::End(End::Closed) => break,
        }
    }
    let host = server.await.unwrap();
    let (envelope, stored) = &host.0[0];
    assert_eq!((host.0.len(), stored == &body), (1, true));
    assert_eq!((envelope.login.as_deref(), envelope.tls), (Some("tim"), true));
    let recipients = outcome.unwrap().recipients;
    assert!(matches!(&recipients[0].1, client::Verdict::Accepted(reply) if reply.text == "Stored"));
    assert!(matches!(&recipients[1].1, client::Verdict::Refused(reply) if reply.text == "Relaying denied"));
}

#[tokio::test]
async fn a_wrong_password_ends_in_the_servers_words() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { run_server(listener.accept().await.unwrap().0).await });
    let clock = Clock::start();
    let mut config = client_config("wrong");
    (config.tls, config.auth_in_clear) = (client::Tls::Never, true);
    let mut session = client::Session::new(config, clock.now());
    let stream = TcpStream::connect(address).await.unwrap();
    let Delivered::Event(stream, client::Event::Failed(failure)) =
        deliver(stream, &mut session, clock).await.unwrap()
    else {
        panic!("no failure")
    };
    assert_eq!(failure.to_string(), "AUTH refused: 535 5.7.8 Wrong user or password");
    drop(stream);
    assert!(server.await.unwrap().0.is_empty());
}

/// A server that takes the message and goes away without an answer.
#[tokio::test]
async fn threat_s12_no_answer_after_the_end_mark_is_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        for (reply, end) in [
            ("220 mx\r\n", "client.example\r\n"),
            ("250 mx\r\n", "<a@b>\r\n"),
            ("250 ok\r\n", "<x@y>\r\n"),
            ("250 ok\r\n", "DATA\r\n"),
            ("354 go\r\n", "\r\n.\r\n"),
        ] {
            stream.write_all(reply.as_bytes()).await.unwrap();
            while !seen.ends_with(end.as_bytes()) {
                let mut buffer = [0; 1024];
                let count = stream.read(&mut buffer).await.unwrap();
                assert_ne!(count, 0);
                seen.extend_from_slice(&buffer[..count]);
            }
        }
    });
    let clock = Clock::start();
    let mut config = client::Config::new("client.example");
    config.tls = client::Tls::Never;
    let mut session = client::Session::new(config, clock.now());
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut verdicts = Vec::new();
    while let Delivered::Event(same, event) = deliver(stream, &mut session, clock).await.unwrap() {
        stream = same;
        match event {
            client::Event::Ready(_) => {
                let to = vec![Recipient::new("x@y".parse().unwrap())];
                let from = MailFrom::new("a@b".parse().unwrap());
                session
                    .send(clock.now(), client::Submission::new(from, to, Bytes::from_static(b"hi")))
                    .unwrap();
            }
            client::Event::Sent(outcome) => verdicts = outcome.recipients,
            client::Event::Failed(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(verdicts[0].1, client::Verdict::Unknown(_)), "{verdicts:?}");
}
