//! Numbers: each group names its workload; times are per operation.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use jiff::civil::date;
use timesync::appoint::{AppointedZone, Appointment, Place};
use timesync::task::{
    Ack, AckKind, ClientId, Setter, Targets, Task, TaskConfig, TaskOutput, TaskServer, TaskUid, TaskWhen,
    UserId,
};
use timesync::zones::{ZoneName, Zones};
use timesync::{
    Candidate, Exchange, Interval, NtpTimestamp, Packet, Request, SourceId, Tolerance, UnixTime, marzullo,
    select,
};

const NOW: UnixTime = UnixTime::from_secs(1_795_334_400);

fn exchange(c: &mut Criterion) {
    let at = |ms: u64| NtpTimestamp::from_bits((3_900_000_000 << 32) + (ms << 32) / 1000);
    let one = Exchange::new(at(0), at(5010), at(5011), at(31));
    let mut group = c.benchmark_group("exchange");
    group.throughput(Throughput::Elements(1));
    group.bench_function("offset_exact", |b| b.iter(|| black_box(one).twice_offset()));
    let tolerance = Tolerance::default();
    group.bench_function("offset_with_bound", |b| b.iter(|| black_box(one).measure(black_box(&tolerance))));
    group.finish();
}

fn packet(c: &mut Criterion) {
    let nonce = NtpTimestamp::from_bits(77);
    let server = timesync::sntp::Server::default();
    let status = timesync::sntp::ServerStatus::primary();
    let bytes = server.reply(&Request::new(nonce).packet().encode(), NOW, NOW, &status).unwrap();
    let request = Request::new(nonce);
    let mut group = c.benchmark_group("packet_48_octets");
    group.throughput(Throughput::Bytes(48));
    group.bench_function("parse", |b| b.iter(|| Packet::decode(black_box(&bytes))));
    group.bench_function("parse_and_check", |b| b.iter(|| request.examine(black_box(&bytes))));
    let packet = Packet::decode(&bytes).unwrap();
    group.bench_function("encode", |b| b.iter(|| black_box(&packet).encode()));
    group.finish();
}

fn selection(c: &mut Criterion) {
    let ten: Vec<Candidate> = (0..10)
        .map(|n| {
            let mid = if n % 4 == 3 { 5_000_000_000 } else { i64::from(n) * 1_000_000 };
            let interval = Interval::around(mid, 20_000_000 + u64::from(n) * 1_000);
            Candidate { id: SourceId(n), interval, jitter: 100_000 }
        })
        .collect();
    let mut group = c.benchmark_group("selection_10_servers");
    group.bench_function("marzullo", |b| b.iter(|| marzullo(black_box(&ten))));
    group.bench_function("select_cluster_combine", |b| b.iter(|| select(black_box(&ten), 3)));
    group.finish();
}

fn appointed(c: &mut Criterion) {
    let zones = Zones::bundled();
    let zone = |name: &str| zones.zone(&ZoneName::new(name).unwrap()).unwrap();
    let (berlin, shanghai) = (zone("Europe/Berlin"), zone("Asia/Shanghai"));
    let civil = date(2026, 12, 1).at(3, 0, 0, 0);
    let named = AppointedZone::Named(ZoneName::new("Europe/Berlin").unwrap());
    let appointment = Appointment::new(civil, named);
    let mut group = c.benchmark_group("appointed_time");
    group.bench_function("jiff_civil_to_instant", |b| {
        b.iter(|| black_box(&berlin).to_ambiguous_timestamp(black_box(civil)).compatible());
    });
    group.bench_function("start_zone_known", |b| {
        b.iter(|| black_box(&appointment).start_in(black_box(&berlin), &shanghai, None));
    });
    let place = Place { zones: &zones, zone: &shanghai };
    group.bench_function("start_zone_by_name", |b| b.iter(|| black_box(&appointment).start(place, None)));
    group.finish();
}

fn user(n: u64) -> UserId {
    UserId::new(&format!("user{n}")).unwrap()
}

fn task(n: u64) -> Task {
    let setter = Setter { user: user(n / 100), client: ClientId::new("phone").unwrap() };
    let due = NOW.after(Duration::from_secs(3_600 + n % 86_400));
    let mut task = Task::alarm(
        TaskUid::new(&format!("task-{n}@phone")).unwrap(),
        setter,
        "Wake up",
        TaskWhen::Instant(due),
    );
    task.targets = Targets::All;
    task
}

/// An engine with `count` pending tasks of one person each hundred.
fn filled(count: u64, zones: &Zones) -> TaskServer {
    let utc = jiff::tz::TimeZone::UTC;
    let place = Place { zones, zone: &utc };
    let mut server = TaskServer::new(TaskConfig::default());
    for n in 0..count {
        if n % 100 == 0 {
            server.register(&user(n / 100), &ClientId::new("phone").unwrap());
        }
        let task = task(n);
        server.set(NOW, &task.setter, &task, place).unwrap();
        while server.poll_output().is_some() {}
    }
    server
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)).and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn tasks(c: &mut Criterion) {
    const COUNT: u64 = 1_000_000;
    let zones = Zones::bundled();
    let utc = jiff::tz::TimeZone::UTC;
    let place = Place { zones: &zones, zone: &utc };
    let before = resident_kib();
    let mut server = filled(COUNT, &zones);
    let per_task = (resident_kib().saturating_sub(before)) * 1024 / COUNT;
    eprintln!("1,000,000 pending tasks: {per_task} octets resident per task");
    let mut group = c.benchmark_group("task_engine_1M_pending");
    let mut next = COUNT;
    group.bench_function("schedule", |b| {
        b.iter_batched(
            || {
                next += 1;
                let mut task = task(next % COUNT);
                task.uid = TaskUid::new(&format!("more-{next}")).unwrap();
                task
            },
            |task| {
                server.set(NOW, &task.setter, &task, place).unwrap();
                while server.poll_output().is_some() {}
            },
            BatchSize::SmallInput,
        );
    });
    // Each turn: the next due task is offered to an online phone, which answers; the task is finished.
    let phone = ClientId::new("phone").unwrap();
    group.bench_function("fire_and_acknowledge", |b| {
        b.iter(|| {
            let now = server.poll_timeout().unwrap();
            let mut answered = false;
            server.handle_timeout(now, place);
            while let Some(output) = server.poll_output() {
                if let TaskOutput::Fire { to, occurrence, epoch, .. } = output {
                    let owner = occurrence.owner.clone();
                    let ack = Ack { occurrence, by: to.clone(), epoch, at: now, kind: AckKind::Executed };
                    server.ack(now, &owner, &to, ack, place).unwrap();
                    answered = true;
                }
            }
            if !answered {
                for n in 0..COUNT / 100 {
                    server.presence(now, &user(n), &phone, true);
                }
            }
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    targets = exchange, packet, selection, appointed, tasks
}
criterion_main!(benches);
