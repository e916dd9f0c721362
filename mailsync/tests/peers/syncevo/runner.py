#!/usr/bin/python3
"""runner.py N DIR COMMAND...: run COMMAND with default signal handling, its output joined into our stdout.

With N > 0 it gets one SIGINT as soon as DIR holds N files named *-req.hdr (a recorded session, see front.py).
A SIGTERM or SIGINT to us is passed on, so that stopping the runner leaves nothing behind.
"""
import glob
import signal
import subprocess
import sys
import threading
import time

count, folder, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]


def defaults():
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, preexec_fn=defaults)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda got, _frame: child.send_signal(got))


def interrupt_when_reached():
    while child.poll() is None:
        if len((glob.glob(glob.escape(folder) + '/*-req.hdr') + glob.glob(glob.escape(folder) + '/*/*-req.hdr'))) >= count:
            child.send_signal(signal.SIGINT)
            return
        time.sleep(0.02)


if count > 0 and folder:
    threading.Thread(target=interrupt_when_reached, daemon=True).start()
status = child.wait()
sys.exit(status if status >= 0 else 128 - status)
