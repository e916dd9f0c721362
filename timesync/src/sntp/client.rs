//! The client: asks several servers, filters, selects, and says what time it is and how sure it is.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::drift::{self, DriftRefusal, Estimate, Rate};
use crate::exchange::{Exchange, ExchangeRefusal, Measurement, Tolerance};
use crate::filter::{ClockFilter, FilterRefusal, Sample};
use crate::instant::{Interval, Reading, UnixTime, nanos};
use crate::packet::{HEADER_LEN, KissCode, Packet};
use crate::request::{ReplyRefusal, Request, root_distance};
use crate::rng::ChaCha;
use crate::select::{Candidate, SelectRefusal, Selection, SourceId, select_with};
use crate::statement::{Contradiction, Ledger, Statement};
use crate::timestamp::NtpTimestamp;

/// How a client behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The servers, by the host's own numbers; the host knows their addresses.
    pub servers: Vec<SourceId>,
    /// Shortest time between two requests to one server, after the first burst.
    pub min_poll: Duration,
    /// Longest time between two requests to one server.
    pub max_poll: Duration,
    /// How many requests open the talk with a server, two seconds apart.
    pub burst: u32,
    /// How long a reply is waited for.
    pub timeout: Duration,
    /// What is assumed about clocks and paths.
    pub tolerance: Tolerance,
    /// How many servers must agree.
    pub need: usize,
    /// How many of the servers may be wrong, whatever they say. No time is told before more than this many
    /// have answered.
    pub wrong: usize,
    /// Answers before this instant are not believed: the build date is a good choice.
    pub not_before: UnixTime,
    /// Answers after this instant are not believed.
    pub not_after: UnixTime,
}

impl Config {
    /// Defaults for these servers: fewer than half of them wrong, burst of 4, polls of 64 s to 1024 s, 5 s of patience; answers are believed
    /// from `not_before` (the build date) to 30 years later.
    #[must_use]
    pub fn new(servers: Vec<SourceId>, not_before: UnixTime) -> Self {
        Config {
            wrong: servers.len().saturating_sub(1) / 2,
            servers,
            min_poll: Duration::from_secs(64),
            max_poll: Duration::from_secs(1024),
            burst: 4,
            timeout: Duration::from_secs(5),
            tolerance: Tolerance::default(),
            need: 1,
            not_before,
            not_after: not_before.after(Duration::from_secs(30 * 366 * 86_400)),
        }
    }
}

/// What the host hands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// A datagram from this server's address. The host drops datagrams from any other address.
    Datagram {
        /// Whose address it came from.
        from: SourceId,
        /// Its bytes.
        bytes: &'a [u8],
    },
}

/// What the host must do or may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send these bytes now.
    Transmit {
        /// To whom.
        to: SourceId,
        /// The request.
        bytes: [u8; HEADER_LEN],
    },
    /// Something happened.
    Event(Event),
}

/// What a client reports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A server's answer was measured.
    Measured {
        /// Whose.
        from: SourceId,
        /// The sample.
        sample: Sample,
    },
    /// A datagram was not taken as an answer; the request stays open.
    Refused {
        /// Whose address it came from.
        from: SourceId,
        /// Why.
        refusal: ReplyRefusal,
    },
    /// A valid answer gave no usable sample.
    NoSample {
        /// Whose.
        from: SourceId,
        /// Why.
        refusal: SampleRefusal,
    },
    /// A server asked to be left alone or asked less often; it was obeyed.
    KissOfDeath {
        /// Which.
        from: SourceId,
        /// Its code.
        code: KissCode,
    },
    /// No answer in time.
    TimedOut {
        /// Which server.
        from: SourceId,
    },
    /// Two statements exclude each other.
    Contradiction(Contradiction),
    /// The servers agree; the estimate is new.
    Synchronised(Selection),
    /// They do not; the old estimate, if any, keeps ageing.
    NotSynchronised(SelectRefusal),
}

/// Why an answer gave no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SampleRefusal {
    /// The stamps do not fit together.
    Exchange(ExchangeRefusal),
    /// The clock filter did not take it, or started over.
    Filter(FilterRefusal),
    /// Outside the window the configuration believes in.
    Implausible {
        /// The server's time.
        time: UnixTime,
    },
}

impl fmt::Display for SampleRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SampleRefusal::Exchange(refusal) => refusal.fmt(f),
            SampleRefusal::Filter(refusal) => refusal.fmt(f),
            SampleRefusal::Implausible { time } => write!(f, "server time {time:?} is outside the window"),
        }
    }
}

#[derive(Debug)]
struct Peer {
    id: SourceId,
    filter: ClockFilter,
    /// The open request and t1, on our timescale and on the monotonic clock.
    open: Option<(Request, NtpTimestamp, Duration)>,
    next: Option<Duration>,
    interval: Duration,
    answered: u32,
    unanswered: u32,
}

/// An SNTP client of several servers.
///
/// ```
/// use core::time::Duration;
/// use timesync::sntp::{Client, Config, Input, Output, Server, ServerStatus};
/// use timesync::{SourceId, UnixTime};
///
/// let built = UnixTime::from_secs(1_795_000_000);
/// let mut client = Client::new(Config::new(vec![SourceId(1)], built), [7; 32], Duration::ZERO, built);
/// client.handle_timeout(Duration::ZERO);
/// let Some(Output::Transmit { bytes, .. }) = client.poll_output() else { panic!() };
///
/// // The server's clock is 100 s ahead of ours; 20 ms pass.
/// let server_time = UnixTime::from_secs(1_795_000_100);
/// let reply = Server::default().reply(&bytes, server_time, server_time, &ServerStatus::primary()).unwrap();
/// client.handle_input(Duration::from_millis(20), Input::Datagram { from: SourceId(1), bytes: &reply });
///
/// let now = client.reading(Duration::from_millis(20)).unwrap();
/// assert!(now.time.since(UnixTime::from_secs(1_795_000_100)).unsigned_abs() <= now.radius);
/// assert!(now.radius < 11_000_000);
/// ```
#[derive(Debug)]
pub struct Client {
    config: Config,
    rng: ChaCha,
    start: Duration,
    base: UnixTime,
    peers: Vec<Peer>,
    ledger: Ledger,
    estimate: Option<Estimate>,
    history: VecDeque<Sample>,
    outputs: VecDeque<Output>,
}

/// What a [`Client`] knew at one moment: the time from then on, good for as long as its bound is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    start: Duration,
    base: UnixTime,
    estimate: Estimate,
}

impl Known {
    /// The time at `now`, on the client's monotonic clock.
    #[must_use]
    pub fn reading(&self, now: Duration) -> Reading {
        let offset = self.estimate.offset_at(now);
        let own = self.base.plus(nanos(now.saturating_sub(self.start)));
        Reading { time: own.plus(offset.mid()), radius: offset.radius() }
    }

    /// True time minus a clock that shows `wall` at `now`.
    #[must_use]
    pub fn offset_of(&self, now: Duration, wall: UnixTime) -> Interval {
        let reading = self.reading(now);
        Interval::around(reading.time.since(wall), reading.radius)
    }
}

/// How many past estimates the rate is taken from.
const HISTORY: usize = 32;

impl Client {
    /// A client that starts asking at once. `wall` is the system's idea of UTC at `now`; it may be wrong by
    /// any amount. `seed` must be unpredictable.
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32], now: Duration, wall: UnixTime) -> Self {
        let phi = config.tolerance.frequency;
        let peers = config
            .servers
            .iter()
            .map(|id| Peer {
                id: *id,
                filter: ClockFilter::new(phi),
                open: None,
                next: Some(now),
                interval: config.min_poll,
                answered: 0,
                unanswered: 0,
            })
            .collect::<Vec<_>>();
        let ledger = Ledger::new(peers.len().saturating_mul(4).max(4), phi);
        // A clock that starts in 1970 must not unfold this decade's stamps into the wrong era.
        let base = wall.clamp(config.not_before, config.not_after.max(config.not_before));
        Client {
            rng: ChaCha::new(seed),
            start: now,
            base,
            peers,
            ledger,
            estimate: None,
            history: VecDeque::new(),
            outputs: VecDeque::new(),
            config,
        }
    }

    /// Takes a datagram in.
    pub fn handle_input(&mut self, now: Duration, input: Input<'_>) {
        let Input::Datagram { from, bytes } = input;
        let arrived = self.own_stamp(now);
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.id == from) else { return };
        let Some((request, t1, sent)) = peer.open.take() else {
            self.event(Event::Refused { from, refusal: ReplyRefusal::WrongOrigin });
            return;
        };
        match request.check(bytes) {
            Ok(reply) => {
                let exchange = Exchange::new(t1, reply.receive, reply.transmit, arrived);
                peer.reward(&self.config, now);
                self.measured(now, from, &reply, &exchange);
            }
            Err((_, ReplyRefusal::KissOfDeath { code })) => {
                peer.obey(&self.config, now, code);
                self.event(Event::KissOfDeath { from, code });
            }
            Err((request, refusal)) => {
                peer.open = Some((request, t1, sent));
                self.event(Event::Refused { from, refusal });
            }
        }
    }

    /// Sends what is due and gives up what is late.
    pub fn handle_timeout(&mut self, now: Duration) {
        let stamp = self.own_stamp(now);
        for peer in &mut self.peers {
            if peer.open.as_ref().is_some_and(|(.., sent)| now.saturating_sub(*sent) >= self.config.timeout) {
                peer.open = None;
                peer.punish(&self.config, now);
                self.outputs.push_back(Output::Event(Event::TimedOut { from: peer.id }));
            }
            if peer.open.is_none() && peer.next.is_some_and(|at| at <= now) {
                let nonce = NtpTimestamp::from_bits(self.rng.next_u64().max(1));
                let request = Request::new(nonce);
                let bytes = request.packet().encode();
                peer.open = Some((request, stamp, now));
                self.outputs.push_back(Output::Transmit { to: peer.id, bytes });
            }
        }
    }

    /// The next thing to do or to know.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next; `None` when every server told us to stop.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let due = |peer: &Peer| match &peer.open {
            Some((.., sent)) => Some(sent.saturating_add(self.config.timeout)),
            None => peer.next,
        };
        self.peers.iter().filter_map(due).min()
    }

    /// The time at `now`, or `None` while nothing is known.
    #[must_use]
    pub fn reading(&self, now: Duration) -> Option<Reading> {
        Some(self.known()?.reading(now))
    }

    /// What is known, as a value: it goes on by itself, its bound growing.
    #[must_use]
    pub fn known(&self) -> Option<Known> {
        Some(Known { start: self.start, base: self.base, estimate: self.estimate? })
    }

    /// True time minus a clock that shows `wall` at `now`: what [`advise`](crate::advise) wants.
    #[must_use]
    pub fn offset_of(&self, now: Duration, wall: UnixTime) -> Option<Interval> {
        Some(self.known()?.offset_of(now, wall))
    }

    /// What is known about our own timescale.
    #[must_use]
    pub const fn estimate(&self) -> Option<&Estimate> {
        self.estimate.as_ref()
    }

    /// How fast the monotonic clock runs wrong, from the last estimates.
    ///
    /// # Errors
    /// [`DriftRefusal`] with fewer than two estimates, or when no single rate fits.
    pub fn rate(&self) -> Result<Rate, DriftRefusal> {
        let samples: Vec<Sample> = self.history.iter().copied().collect();
        drift::rate(&samples)
    }

    fn own_time(&self, now: Duration) -> UnixTime {
        self.base.plus(nanos(now.saturating_sub(self.start)))
    }

    fn own_stamp(&self, now: Duration) -> NtpTimestamp {
        NtpTimestamp::from_unix(self.own_time(now))
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn measured(&mut self, now: Duration, from: SourceId, reply: &Packet, exchange: &Exchange) {
        let time = exchange.transmit.unfold(self.own_time(now));
        if time < self.config.not_before || time > self.config.not_after {
            self.event(Event::NoSample { from, refusal: SampleRefusal::Implausible { time } });
            return;
        }
        let tolerance =
            Tolerance { server_precision: precision_nanos(reply.precision), ..self.config.tolerance };
        let measured: Measurement = match exchange.measure(&tolerance) {
            Ok(measured) => measured,
            Err(refusal) => {
                self.event(Event::NoSample { from, refusal: SampleRefusal::Exchange(refusal) });
                return;
            }
        };
        let sample = Sample::new(now, measured, root_distance(reply));
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.id == from) else { return };
        if let Err(refusal) = peer.filter.push(sample) {
            let stepped = matches!(refusal, FilterRefusal::Stepped { .. });
            if stepped {
                peer.interval = self.config.min_poll;
            }
            self.event(Event::NoSample { from, refusal: SampleRefusal::Filter(refusal) });
            if !stepped {
                return;
            }
        }
        self.event(Event::Measured { from, sample });
        let statement = Statement { by: from, at: now, offset: sample.bound_at(now, 0) };
        if let Some(contradiction) = self.ledger.add(statement) {
            self.event(Event::Contradiction(contradiction));
        }
        self.reselect(now);
    }

    fn reselect(&mut self, now: Duration) {
        let candidates: Vec<Candidate> = self
            .peers
            .iter()
            .filter_map(|peer| {
                let best = peer.filter.best(now)?;
                Some(Candidate { id: peer.id, interval: best.bound, jitter: best.jitter })
            })
            .collect();
        match select_with(&candidates, self.config.need, self.config.wrong) {
            Ok(selection) => {
                let phi = self.config.tolerance.frequency;
                self.estimate = Some(Estimate::new(now, selection.bound, phi));
                if self.history.len() >= HISTORY {
                    self.history.pop_front();
                }
                self.history.push_back(Sample { at: now, offset: selection.bound, delay: 0, root: 0 });
                self.event(Event::Synchronised(selection));
            }
            Err(refusal) => self.event(Event::NotSynchronised(refusal)),
        }
    }
}

impl Peer {
    fn reward(&mut self, config: &Config, now: Duration) {
        self.answered = self.answered.saturating_add(1);
        self.unanswered = 0;
        self.next = Some(if self.answered < config.burst {
            now.saturating_add(Duration::from_secs(2))
        } else {
            let wait = self.interval;
            self.interval = self.interval.saturating_mul(2).min(config.max_poll);
            now.saturating_add(wait)
        });
    }

    /// Lost datagrams are asked for again soon, silent servers ever more rarely.
    fn punish(&mut self, config: &Config, now: Duration) {
        let wait = config.timeout.saturating_mul(1 << self.unanswered.min(16)).min(config.max_poll);
        self.unanswered = self.unanswered.saturating_add(1);
        self.next = Some(now.saturating_add(wait));
    }

    fn obey(&mut self, config: &Config, now: Duration, code: KissCode) {
        if code.means_stop() {
            self.next = None;
            return;
        }
        // RATE, and any code we do not know: ask less often, and never in a burst again.
        self.answered = self.answered.max(config.burst);
        self.interval = self.interval.saturating_mul(2).clamp(config.min_poll, config.max_poll);
        self.next = Some(now.saturating_add(self.interval));
    }
}

/// 2^precision seconds in nanoseconds, rounded up.
const fn precision_nanos(precision: i8) -> u64 {
    let down = precision.unsigned_abs();
    if precision >= 0 || down >= 64 { 1_000_000_000 } else { (1_000_000_000_u64 >> down) + 1 }
}
