// smsc.js: the package smpp as an SMS centre on 127.0.0.1. One JSON line an event on stdout; ends with its stdin.
// env: PORT (0: any), SYSID, PASSWD
//   IDS=plain|hexdec|dechex     how ids are written in responses and in receipts
//   THROTTLE=n                  the first n submits are answered 0x58
//   CUT=n                       the n-th submit and all that came with it are not answered: the link is cut, once
//   REFUSE=number               submits to this destination are answered 0x0B
//   FORWARD=1                   what is submitted is delivered to the receiver, as to a phone
//   PHONES=a=49111,b=49222      with FORWARD: accounts of phones, and their numbers; each gets what is for its number
// stdin: one JSON object a line, sent as deliver_sm; its "hex" becomes short_message
const smpp = require('smpp');
const E = process.env, out = (o) => console.log(JSON.stringify(o));
let seen = 0, throttle = +(E.THROTTLE || 0), cut = +(E.CUT || 0), receiver = null, waiting = [];
const phones = Object.fromEntries((E.PHONES || '').split(',').filter(Boolean).map((one) => one.split('='))), reached = {};
const spell = (n, how) => (how === 'hex' ? n.toString(16) : String(n));
const [first, second] = { plain: ['dec', 'dec'], hexdec: ['hex', 'dec'], dechex: ['dec', 'hex'] }[E.IDS || 'plain'];
const server = smpp.createServer({}, (s) => {
  let dead = false;
  s.on('error', () => {});
  s.on('close', () => { dead = true; if (receiver === s) receiver = null;
    for (const n in reached) if (reached[n] === s) delete reached[n];
    out({ ev: 'close' }); });
  const bind = (kind) => (pdu) => {
    const number = phones[pdu.system_id], ok = (number || pdu.system_id === E.SYSID) && pdu.password === E.PASSWD;
    out({ ev: 'bind', kind, id: pdu.system_id, ok });
    if (!ok) {
      s.send(pdu.response({ command_status: smpp.ESME_RINVPASWD }));
      return s.close();
    }
    s.send(pdu.response({ system_id: 'centre', sc_interface_version: 0x34 }));
    if (kind !== 'tx' && number) { reached[number] = s; waiting.splice(0).forEach(deliver); }
    else if (kind !== 'tx') { receiver = s; waiting.splice(0).forEach(deliver); }
  };
  s.on('bind_transceiver', bind('trx'));
  s.on('bind_transmitter', bind('tx'));
  s.on('bind_receiver', bind('rx'));
  s.on('enquire_link', (p) => s.send(p.response()));
  s.on('unbind', (p) => { s.send(p.response()); s.close(); });
  s.on('submit_sm', (p) => {
    if (dead) return;
    const n = ++seen, raw = p.message_payload || p.short_message || {};
    const message = raw.message === undefined ? raw : raw.message;
    out({ ev: 'submit', n, from: p.source_addr, to: p.destination_addr, dcs: p.data_coding, esm: p.esm_class,
      ref: p.user_message_reference, text: String(message), wants: p.registered_delivery,
      udh: (raw.udh || []).map((u) => u.toString('hex')).join(' ') });
    if (cut && n >= cut) {
      dead = true; cut = 0;
      out({ ev: 'cut', n });
      return s.destroy();
    }
    if (throttle > 0) { throttle--; return s.send(p.response({ command_status: smpp.ESME_RTHROTTLED })); }
    if (E.REFUSE && p.destination_addr === E.REFUSE) return s.send(p.response({ command_status: smpp.ESME_RINVDSTADR }));
    if (E.FORWARD) {
      const udh = Buffer.concat(raw.udh || []);
      const octets = Buffer.concat([udh.length ? Buffer.from([udh.length]) : udh, udh, Buffer.from(message)]);
      out({ ev: 'octets', n, hex: octets.toString('hex') });
      deliver({ source_addr: p.source_addr, destination_addr: p.destination_addr, esm_class: p.esm_class & 0x40,
        data_coding: p.data_coding, hex: octets.toString('hex') });
    }
    // 1000 + n has letters in its hexadecimal form now and then
    s.send(p.response({ message_id: spell(1000 + n, first) }));
    if (p.registered_delivery & 3) {
      const d = '2601010000', id = spell(1000 + n, second);
      s.deliver_sm({ source_addr_ton: p.dest_addr_ton, source_addr_npi: p.dest_addr_npi, source_addr: p.destination_addr,
        dest_addr_ton: p.source_addr_ton, dest_addr_npi: p.source_addr_npi, destination_addr: p.source_addr, esm_class: 4,
        short_message: `id:${id} sub:001 dlvrd:001 submit date:${d} done date:${d} stat:DELIVRD err:000 text:` });
    }
  });
});
function deliver(o) {
  const to = reached[o.destination_addr] || receiver;
  if (!to) return waiting.push(o);
  const pdu = Object.assign({ source_addr_ton: 1, source_addr_npi: 1, dest_addr_ton: 1, dest_addr_npi: 1 }, o);
  if (o.hex !== undefined) { pdu.short_message = Buffer.from(o.hex, 'hex'); delete pdu.hex; }
  to.deliver_sm(pdu, (r) => out({ ev: 'delivered', status: r.command_status }));
}
require('readline').createInterface({ input: process.stdin }).on('line', (l) => deliver(JSON.parse(l)))
  .on('close', () => process.exit(0));
server.listen(+(E.PORT || 0), '127.0.0.1', () => out({ ready: true, port: server.address().port }));
