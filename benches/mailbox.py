#!/usr/bin/env python3
"""benches/mailbox.py [N]: a mailbox of N mails (10000) at Dovecot behind mailsyncd, and phones before it. Prints a table.

Measured: the first look at the mailbox and the first syncs; a sync and a look at the mailbox without a change, with the IMAP
commands that each takes, for a mailbox of a tenth and of all; one new mail, headers only, in octets over the phone's link in
WBXML, against an IMAP client that stays connected and one that connects for it; the time from the delivery of a mail at Dovecot
to the file in the Maildir of a phone with `mailsync watch`.

Needs Dovecot (mailsync/tests/peers/mail/setup.sh). MAILSYNC_BIN: a folder with both binaries, else they are built in release.
"""
import json, os, random, re, shutil, socket, sqlite3, subprocess, sys, tempfile, threading, time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
POLL = 5
ENV = dict(os.environ, MAILSYNC_PASSWORD="secret", MAILSYNC_ACCOUNT_PASSWORD="lab-alice", MAILSYNC_SERVER_PASSWORD="its own")


class Counter:
    """A TCP relay that counts octets, and the commands of an IMAP client."""

    def __init__(self, port):
        self.port, self.up, self.down, self.commands = port, 0, 0, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.port))
            for a, b, up in ((client, server, True), (server, client, False)):
                threading.Thread(target=self.relay, args=(a, b, up), daemon=True).start()

    def relay(self, a, b, up):
        while True:
            try:
                octets = a.recv(65536)
            except OSError:
                octets = b""
            if not octets:
                for end in (a, b):
                    try:
                        end.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
                return
            if up:
                self.up += len(octets)
                found = re.findall(rb"(?m)^[A-Za-z]+\d+ (?:UID )?([A-Z]+)", octets)
                self.commands += [(time.monotonic(), name.decode()) for name in found]
            else:
                self.down += len(octets)
            b.sendall(octets)

    def mark(self):
        return len(self.commands), self.up + self.down

    def since(self, mark):
        return [name for _, name in self.commands[mark[0]:]], self.up + self.down - mark[1]


def free():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def message(n, dice):
    words = "the quick brown fox jumps over the lazy dog and runs away from it as fast as it can".split()
    text = "\r\n".join(" ".join(dice.choice(words) for _ in range(12)) for _ in range(dice.randrange(5, 80)))
    return (f"Return-Path: <zed{n % 50}@far.example>\r\nDelivered-To: alice@lab.test\r\n"
            f"Received: from mx.far.example (mx.far.example [192.0.2.7])\r\n\tby mail.lab.test with ESMTPS id {n:08x}\r\n"
            f"\tfor <alice@lab.test>; Sat, 21 Nov 2026 10:00:{n % 60:02} +0000\r\n"
            f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=far.example; s=k1;\r\n\tbh={'b' * 44};\r\n\tb={'c' * 170}\r\n"
            f"From: Zed {n % 50} <zed{n % 50}@far.example>\r\nTo: Alice <alice@lab.test>\r\nSubject: About number {n}, and more\r\n"
            f"Date: Sat, 21 Nov 2026 10:00:{n % 60:02} +0000\r\nMessage-ID: <{n}.{dice.getrandbits(64):x}@far.example>\r\n"
            f"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n{text}\r\n").encode()


class Lab:
    def __init__(self, bins, count):
        self.bins, self.count = bins, count
        self.dir = tempfile.mkdtemp(prefix="msb")
        os.chmod(self.dir, 0o755)
        ports = [free() for _ in range(7)]
        self.imap_port, self.lmtp_port = ports[0], ports[2]
        script = os.path.join(ROOT, "mailsync/tests/peers/mail/dovecot.sh")
        self.dovecot = subprocess.Popen([script, self.dir + "/l", *map(str, ports), "127.0.0.1:1"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        assert "ready" in self.dovecot.stdout.readline()
        self.dice = random.Random(1)
        self.deliver(0)  # makes the folders
        inbox = self.dir + "/l/mail/alice/Maildir/cur"
        owner = os.stat(inbox)
        for n in range(1, count):
            path = f"{inbox}/1795000000.{n}.bench:2,{'S' if n % 3 else ''}"
            with open(path, "wb") as f:
                f.write(message(n, self.dice))
            os.chown(path, owner.st_uid, owner.st_gid)
        self.counter = Counter(self.imap_port)
        with open(self.dir + "/config.toml", "w") as f:
            f.write(f'domain = "lab.test"\n[mail]\npoll_seconds = {POLL}\n[session]\nserver_name = "srv"\n'
                    f'server_password_file = "{self.dir}/server.password"\n')
        with open(self.dir + "/server.password", "w") as f:
            f.write("its own\n")
        self.daemon("user", "add", "ann")
        self.daemon("account", "add", "ann", "a", "--address", "alice@lab.test", "--login", "alice",
                    "--imap", self.counter.address, "--imap-tls", "none")
        self.log = open(self.dir + "/log", "w")
        self.started, self.mark = time.monotonic(), self.counter.mark()
        self.server = subprocess.Popen(self.command("--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0"), env=ENV, text=True,
                                       stdout=subprocess.PIPE, stderr=self.log)
        self.url = json.loads(self.server.stdout.readline())["syncml"]
        self.database = sqlite3.connect(f"file:{self.dir}/data/mailsync.db?mode=ro", uri=True, timeout=30)

    def command(self, *args):
        return [self.bins + "/mailsyncd", "--data", self.dir + "/data", "--config", self.dir + "/config.toml", *args]

    def daemon(self, *args):
        subprocess.run(self.command(*args), env=ENV, check=True, stdout=subprocess.DEVNULL)

    def mails(self):
        return self.database.execute("SELECT count(*) FROM item WHERE deleted = 0 AND kind = 'message/rfc822'").fetchone()[0]

    def wait(self, count):
        while self.mails() < count:
            assert self.server.poll() is None
            time.sleep(0.02)

    def deliver(self, n):
        with socket.create_connection(("127.0.0.1", self.lmtp_port)) as s:
            f = s.makefile("rwb")
            f.readline()
            for line in ("LHLO x", "MAIL FROM:<x@y.example>", "RCPT TO:<alice@lab.test>", "DATA"):
                f.write(line.encode() + b"\r\n")
                f.flush()
                while f.readline()[3:4] == b"-":
                    pass
            f.write(message(n, self.dice) + b".\r\n")
            f.flush()
            said = f.readline()
            assert said.startswith(b"250"), said
        return time.time()

    def sync(self, phone, *more):
        start = time.monotonic()
        done = subprocess.run([self.bins + "/mailsync", "--json", "sync", "--server", self.url, "--user", "ann", "--dir",
                               f"{self.dir}/{phone}", *more], env=ENV, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout.strip().splitlines()[-1])
        return time.monotonic() - start, report["bytes_in"] + report["bytes_out"], report["messages"]

    def quiet(self):
        """IMAP commands of one look at the mailbox without a change: none is told of one, so the clock makes it."""
        time.sleep(2 * POLL)
        mark, looks = self.counter.mark(), 4
        time.sleep(looks * POLL)
        commands, octets = self.counter.since(mark)
        return len(commands) / looks, octets / looks, sorted(set(commands))

    def end(self):
        self.server.terminate()
        self.server.wait()
        self.dovecot.stdin.close()
        self.dovecot.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def imap_client(lab, keep):
    """Octets both ways for the header of one new mail: over an open link, or with login and logout."""
    counter = Counter(lab.imap_port)
    host, port = counter.address.split(":")
    s = socket.create_connection((host, int(port)))
    f = s.makefile("rwb")
    f.readline()

    def say(n, text):
        f.write(f"a{n} {text}\r\n".encode())
        f.flush()
        lines = []
        while True:
            line = f.readline()
            lines.append(line)
            if line.startswith(f"a{n} ".encode()):
                return lines
            size = re.search(rb"\{(\d+)\}\r\n$", line)
            if size:
                lines.append(f.read(int(size.group(1))))

    if keep:
        say(1, "LOGIN alice lab-alice")
        last = re.search(rb"\* (\d+) EXISTS", b"".join(say(2, "SELECT INBOX"))).group(1)
        counter.up = counter.down = 0
        say(3, "NOOP")
        say(4, f"FETCH {last.decode()} (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER])")
    else:
        say(1, "LOGIN alice lab-alice")
        last = re.search(rb"\* (\d+) EXISTS", b"".join(say(2, "SELECT INBOX"))).group(1)
        say(3, f"FETCH {last.decode()} (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER])")
        say(4, "LOGOUT")
    octets = counter.up + counter.down
    s.close()
    return octets


def files(folder):
    return sum(len(names) for path, _, names in os.walk(folder) if path.endswith(("/cur", "/new")))


def watched(lab, rounds):
    """Seconds from each delivery at Dovecot to the file of the phone."""
    process = subprocess.Popen([lab.bins + "/mailsync", "--json", "watch", "--server", lab.url, "--user", "ann", "--dir",
                                lab.dir + "/headers", "--headers-only", "--server-name", "srv"], env=ENV, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    for line in process.stdout:
        if '"synced"' in line:
            break
    assert process.poll() is None
    threading.Thread(target=process.stdout.read, daemon=True).start()
    times = []
    for n in range(rounds):
        time.sleep(5)
        before = files(lab.dir + "/headers")
        start = lab.deliver(2_000_000 + n)
        while files(lab.dir + "/headers") == before:
            assert time.time() < start + 120
            time.sleep(0.02)
        times.append(time.time() - start)
    process.terminate()
    process.wait()
    return times


def main():
    bins = os.environ.get("MAILSYNC_BIN")
    if not bins:
        subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "mailsync", "--bins"], cwd=ROOT, check=True)
        bins = os.path.join(ROOT, os.environ.get("CARGO_TARGET_DIR", "target"), "release")
    bins = os.path.abspath(bins)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print("| what | mails | seconds | octets, both ways | IMAP commands |\n|---|---|---|---|---|")
    row = lambda what, count, seconds, octets, commands: print(
        f"| {what} | {count:,} | {seconds} | {octets} | {commands} |", flush=True)
    for count in (COUNT // 10, COUNT):
        lab = Lab(bins, count)
        try:
            lab.wait(count)
            took = time.monotonic() - lab.started
            commands, octets = lab.counter.since(lab.mark)
            row("first look at the mailbox, all of it fetched", count, f"{took:.1f}", f"{octets:,}", f"{len(commands):,}")
            for phone, more in (("whole", []), ("headers", ["--headers-only"])):
                took, octets, messages = lab.sync(phone, *more)
                row(f"first sync, {phone}, {messages} messages", count, f"{took:.1f}", f"{octets:,}", "")
            commands, octets, names = lab.quiet()
            row("a look without a change: " + " ".join(names), count, "", f"{octets:.0f}", f"{commands:.2f}")
            mark = lab.counter.mark()
            took, idle, messages = lab.sync("headers", "--headers-only")
            commands, _ = lab.counter.since(mark)
            row(f"sync without a change, {messages} messages", count, f"{took:.2f}", f"{idle:,}", f"{len(commands)} meanwhile")
            mark, start = lab.counter.mark(), time.monotonic()
            lab.deliver(1_000_000)
            lab.wait(count + 1)
            seen = time.monotonic() - start
            time.sleep(1)
            commands, octets = lab.counter.since(mark)
            row("one new mail: until mailsyncd has it", count, f"{seen:.2f}", f"{octets:,}", f"{len(commands)}: {' '.join(commands)}")
            took, octets, messages = lab.sync("headers", "--headers-only")
            row(f"sync of one new mail, headers only, {messages} messages", count, f"{took:.2f}", f"{octets:,}, {octets - idle:,} more", "")
            row("the same header over IMAP, link open", count, "", f"{imap_client(lab, True):,}", "2")
            row("the same header over IMAP, with login", count, "", f"{imap_client(lab, False):,}", "4")
            if count == COUNT:
                times = watched(lab, 5)
                shown = " ".join(f"{each:.2f}" for each in times)
                row("from delivery at Dovecot to the Maildir of a phone that watches", count, shown, "", "")
        finally:
            lab.end()


main()
