#!/usr/bin/env python3
"""SMTP sink: sink.py HOST PORT DIR; port 0 is any. Prints {"ready":true,...}, ends with its stdin. Takes any login.

Accepts every message and stores it as DIR/NNNNNN.eml (bytes as received,
dot-unstuffed) and DIR/NNNNNN.json (envelope). Recipient local parts choose
faults, so an outbox can be tested without touching the sink:
  reject*  550 at RCPT      defer*  451 at RCPT      full*   552 after DATA
  late*    451 after DATA   drop*   connection closed in place of the DATA reply
  dup*     message stored, then connection closed before the reply (was it sent?)
  slow*    5 s wait before the DATA reply
"""
import asyncio, json, os, sys, threading, time

HOST, PORT, OUT = sys.argv[1], int(sys.argv[2]), sys.argv[3]
os.makedirs(OUT, exist_ok=True)
LIMIT = 64 << 20
seq = max([int(f[:6]) for f in os.listdir(OUT) if f.endswith(".eml")], default=0)

def store(env, data):
    global seq
    seq += 1
    base = os.path.join(OUT, "%06d" % seq)
    with open(base + ".tmp", "wb") as f:
        f.write(data)
    with open(base + ".json", "w") as f:
        json.dump(env, f, indent=1)
    os.rename(base + ".tmp", base + ".eml")
    return seq

class Drop(Exception):
    pass

async def client(r, w):
    async def say(line):
        w.write(line.encode() + b"\r\n")
        await w.drain()
    def fresh():
        return {"helo": helo, "from": None, "from_params": "", "to": [], "time": time.time()}
    async def finish(env, data):
        kinds = [a.split("@")[0].lower() for a in env["to"]]
        has = lambda k: any(x.startswith(k) for x in kinds)
        if has("slow"):
            await asyncio.sleep(5)
        if has("drop"):
            raise Drop
        if has("full"):
            return await say("552 5.2.2 mailbox full")
        if has("late"):
            return await say("451 4.3.0 try again later")
        n = store(env, data)
        if has("dup"):
            raise Drop
        await say("250 2.0.0 stored as %06d" % n)
    helo, chunks = "", []
    env = fresh()
    try:
        await say("220 sink.lab.test ESMTP sink")
        while True:
            raw = await r.readline()
            if not raw:
                return
            line = raw.decode("utf-8", "replace").strip()
            verb = line.split(" ")[0].upper()
            if verb in ("EHLO", "HELO"):
                helo = line[5:].strip(); env = fresh(); chunks = []
                if verb == "HELO":
                    await say("250 sink.lab.test")
                else:
                    for c in ("sink.lab.test", "PIPELINING", "SIZE %d" % LIMIT, "8BITMIME", "SMTPUTF8",
                              "ENHANCEDSTATUSCODES", "CHUNKING", "AUTH PLAIN"):
                        await say("250-" + c)
                    await say("250 DSN")
            elif verb == "AUTH":
                if len(line.split()) < 3:
                    await say("334 ")
                    await r.readline()
                await say("235 2.7.0 come in")
            elif verb == "MAIL":
                a, _, p = line[line.find("<") + 1:].partition(">")
                env = fresh(); env["from"], env["from_params"] = a, p.strip(); chunks = []
                await say("250 2.1.0 ok")
            elif verb == "RCPT":
                a, _, p = line[line.find("<") + 1:].partition(">")
                lp = a.lower()
                if lp.startswith("reject"):
                    await say("550 5.1.1 no such user")
                elif lp.startswith("defer"):
                    await say("451 4.2.0 greylisted")
                else:
                    env["to"].append(a)
                    await say("250 2.1.5 ok")
            elif verb == "DATA":
                if env["from"] is None or not env["to"]:
                    await say("503 5.5.1 need MAIL and RCPT"); continue
                await say("354 go ahead")
                buf, total = [], 0
                while True:
                    l = await r.readline()
                    if not l:
                        return
                    if l in (b".\r\n", b".\n"):
                        break
                    if l.startswith(b"."):
                        l = l[1:]
                    total += len(l)
                    if total <= LIMIT:
                        buf.append(l)
                if total > LIMIT:
                    await say("552 5.3.4 too big")
                else:
                    await finish(env, b"".join(buf))
                env = fresh()
            elif verb == "BDAT":
                parts = line.split()
                chunks.append(await r.readexactly(int(parts[1])))
                if len(parts) > 2 and parts[2].upper() == "LAST":
                    if env["from"] is None or not env["to"]:
                        await say("503 5.5.1 need MAIL and RCPT")
                    else:
                        await finish(env, b"".join(chunks))
                    env = fresh(); chunks = []
                else:
                    await say("250 2.0.0 chunk")
            elif verb == "RSET":
                env = fresh(); chunks = []
                await say("250 2.0.0 reset")
            elif verb in ("NOOP", "VRFY"):
                await say("250 2.0.0 ok")
            elif verb == "QUIT":
                await say("221 2.0.0 bye")
                return
            else:
                await say("500 5.5.2 what?")
    except (Drop, ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        w.close()

async def main():
    s = await asyncio.start_server(client, HOST, PORT, limit=1 << 20)
    port = s.sockets[0].getsockname()[1]
    print(json.dumps({"ready": True, "smtp": "%s:%d" % (HOST, port)}), flush=True)
    async with s:
        await s.serve_forever()

def end_with_stdin():
    sys.stdin.buffer.read()
    os._exit(0)

threading.Thread(target=end_with_stdin, daemon=True).start()
asyncio.run(main())
