#!/usr/bin/python3
"""HTTP front end of SyncEvolution's server (syncevo-dbus-server) on 127.0.0.1, in place of Debian's syncevo-http-server,
which does not start as packaged and would listen on every interface.

usage: front.py PORT ROOT     PORT 0 takes any free one; must run inside a D-Bus session of its own (see run-server.sh)

Serves POST /syncevolution[/CONFIG]. A SyncML session is carried by ?sessionid= in the RespURI that SyncEvolution writes.
When all is up: one line {"ready":true,"syncml":URL} on standard output, the URL in ROOT/url, our process id in ROOT/front.pid.
Recording: while ROOT/capture_to names a folder, every body and its headers go there as NNN-req.* and NNN-resp.*.
Ends on SIGTERM or SIGINT; with SE_STDIN_GUARD set also when standard input is closed, so it cannot outlive its starter.
"""
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import dbus
import dbus.mainloop.glib
from gi.repository import GLib

PORT, ROOT = int(sys.argv[1]), sys.argv[2]
PATH = '/syncevolution'
BUS_NAME = 'org.syncevolution'
NO_TIMEOUT = 100000  # seconds; a slow sync of thousands of items is answered late, not never
ANSWER_WAIT = 600    # seconds until the HTTP client is told 504
EXTENSION = {'application/vnd.syncml+wbxml': 'wbxml', 'application/vnd.syncml+xml': 'xml'}


class Recorder:
    """Numbers and writes the bodies of one session after the other; off unless ROOT/capture_to names a folder."""

    def __init__(self):
        self.lock, self.used = threading.Lock(), {}

    def slot(self):
        try:
            with open(ROOT + '/capture_to') as file:
                folder = file.read().strip()
        except OSError:
            return None
        if not folder:
            return None
        with self.lock:
            os.makedirs(folder, exist_ok=True)
            self.used[folder] = self.used.get(folder, 0) + 1
            return '%s/%03d' % (folder, self.used[folder])

    @staticmethod
    def save(slot, kind, content_type, head, body):
        if slot:
            extension = EXTENSION.get(content_type.split(';')[0].strip().lower(), 'bin')
            with open('%s-%s.%s' % (slot, kind, extension), 'wb') as file:
                file.write(body)
            with open('%s-%s.hdr' % (slot, kind), 'w') as file:
                file.write(head)


class Connection:
    """One org.syncevolution.Connection, a SyncML session; lives on the GLib thread. One request is open at a time."""

    by_session = {}

    def __init__(self, config, url):
        self.waiting, self.session, self.over = None, None, False
        peer = {'description': 'test front', 'transport': 'HTTP', 'config': config, 'URL': url}
        must_authenticate = True
        path = server.Connect(dbus.Dictionary(peer, signature='ss'), must_authenticate, '', timeout=NO_TIMEOUT)
        interface = BUS_NAME + '.Connection'
        self.remote = dbus.Interface(bus.get_object(BUS_NAME, path), interface)
        source = dict(dbus_interface=interface, bus_name=BUS_NAME, path=path)
        self.signals = [bus.add_signal_receiver(self.on_reply, 'Reply', byte_arrays=True, **source),
                        bus.add_signal_receiver(self.on_abort, 'Abort', **source)]

    def feed(self, body, content_type, waiting):
        self.waiting = waiting
        self.remote.Process(dbus.ByteArray(body), content_type, timeout=NO_TIMEOUT,
                            reply_handler=lambda *_: None, error_handler=self.on_error)

    def answer(self, status, content_type, body):
        waiting, self.waiting = self.waiting, None
        if waiting:
            waiting.put((status, content_type, body))

    def on_reply(self, body, content_type, _meta, final, session):
        self.session = str(session)
        Connection.by_session[self.session] = self
        if body:
            self.answer(200, str(content_type), bytes(body))
        if final:
            self.close(True)

    def on_abort(self):
        self.answer(500, 'text/plain', b'session aborted by syncevo-dbus-server\n')
        self.close(False)

    def on_error(self, error):
        self.answer(500, 'text/plain', (str(error) + '\n').encode())
        self.close(False)

    def close(self, well):
        if self.over:
            return
        self.over = True
        for receiver in self.signals:
            receiver.remove()
        Connection.by_session.pop(self.session, None)
        try:
            self.remote.Close(well, '' if well else 'front end gave up', timeout=NO_TIMEOUT,
                              reply_handler=lambda *_: None, error_handler=lambda *_: None)
        except dbus.DBusException:
            pass
        self.answer(410, 'text/plain', b'session over\n')


def dispatch(session, config, url, body, content_type, waiting):
    try:
        connection = Connection(config, url) if session is None else Connection.by_session.get(session)
        if connection:
            connection.feed(body, content_type, waiting)
        else:
            waiting.put((404, 'text/plain', b'no such session\n'))
    except dbus.DBusException as error:
        waiting.put((500, 'text/plain', (str(error) + '\n').encode()))
    return False


class Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    answered = {}  # session -> (request body, answer): the same message again gets the same answer, unprocessed

    def log_message(self, format, *args):  # noqa: A002 (the base class names it so)
        sys.stderr.write('%s %s\n' % (time.strftime('%H:%M:%S'), format % args))

    def reply(self, slot, status, content_type, body):
        self.send_response(status)
        self.send_header('Content-Type', content_type)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        head = 'HTTP %d\ncontent-type: %s\ncontent-length: %d\n' % (status, content_type, len(body))
        recorder.save(slot, 'resp', content_type, head, body)

    def body(self):
        if self.headers.get('Transfer-Encoding', '').lower() != 'chunked':
            return self.rfile.read(int(self.headers.get('Content-Length') or 0))
        whole = b''
        while size := int(self.rfile.readline().split(b';')[0], 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def do_POST(self):
        target, body = urlsplit(self.path), self.body()
        content_type = self.headers.get('Content-Type', '')
        slot = recorder.slot()
        recorder.save(slot, 'req', content_type, 'POST %s\n%s\n' % (self.path, str(self.headers).strip()), body)
        if target.path != PATH and not target.path.startswith(PATH + '/'):
            return self.reply(slot, 404, 'text/plain', b'wrong path\n')
        session = parse_qs(target.query).get('sessionid', [None])[0]
        if session in self.answered and self.answered[session][0] == body:
            return self.reply(slot, *self.answered[session][1])
        url = 'http://127.0.0.1:%d%s' % (self.server.server_port, target.path)
        config, waiting = target.path[len(PATH):].strip('/'), queue.Queue()
        GLib.idle_add(dispatch, session, config, url, body, content_type.split(';')[0].strip(), waiting)
        try:
            answer = waiting.get(timeout=ANSWER_WAIT)
        except queue.Empty:
            answer = (504, 'text/plain', b'no answer from syncevo-dbus-server\n')
        if session:
            self.answered[session] = (body, answer)
        return self.reply(slot, *answer)


class HttpServer(ThreadingHTTPServer):
    daemon_threads = True


def start_daemon():
    command = ['/usr/libexec/syncevo-dbus-server', '--duration=unlimited', '--no-syslog', '--stdout', '--verbosity=1']
    with open(ROOT + '/daemon.log', 'ab') as log:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    for _ in range(300):
        if bus.name_has_owner(BUS_NAME):
            return daemon
        if daemon.poll() is not None:
            break
        time.sleep(0.05)
    daemon.kill()
    sys.exit('syncevo-dbus-server did not come up, see %s/daemon.log' % ROOT)


def write_file(name, text):
    with open('%s/%s.new' % (ROOT, name), 'w') as file:
        file.write(text)
    os.replace('%s/%s.new' % (ROOT, name), '%s/%s' % (ROOT, name))


dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
loop, bus, recorder = GLib.MainLoop(), dbus.SessionBus(), Recorder()
http = HttpServer(('127.0.0.1', PORT), Handler)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, loop.quit)
if os.environ.get('SE_STDIN_GUARD'):
    GLib.io_add_watch(0, GLib.PRIORITY_HIGH, GLib.IOCondition.IN | GLib.IOCondition.HUP,
                      lambda *_: bool(os.read(0, 4096)) or loop.quit() or False)
daemon = start_daemon()
try:
    server = dbus.Interface(bus.get_object(BUS_NAME, '/org/syncevolution/Server'), BUS_NAME + '.Server')
    threading.Thread(target=http.serve_forever, daemon=True).start()
    url = 'http://127.0.0.1:%d%s' % (http.server_port, PATH)
    write_file('front.pid', str(os.getpid()))
    write_file('url', url + '\n')
    print(json.dumps({'ready': True, 'syncml': url}, separators=(',', ':')), flush=True)
    loop.run()
finally:
    daemon.terminate()
    try:
        daemon.wait(10)
    except subprocess.TimeoutExpired:
        daemon.kill()
