// A stand-in for Azure Service Bus on the loopback: queues with peek-lock, over AMQP 1.0 by rhea.
//
// It has what the adapter depends on: shared access signatures that are checked, locks that end by themselves, redelivery with a count,
// the queue of the dead at the last one, settlements that are refused when the lock is lost, renewal by the management node, messages for
// later, duplicates dropped by id, and links that are ended when they are idle. It proves the protocol's path; Azure's throttling and
// failover it does not have. Microsoft's own client is run against it as a witness, in witness.py.
//
// Settings by environment: RHEA (the folder of the module), KEY_NAME, KEY, LOCK_MS, DELIVERIES_MAX, DUPLICATES_MS, IDLE_MS, PORT (a free one without it).
// Says `listening <port>` when it does. Words on its standard input, a line each, are answered by a line of JSON: `stats` (every queue's
// figures) and `drop` (all connections are cut). It ends when its standard input does.
'use strict';
const crypto = require('node:crypto');
const readline = require('node:readline');
const rhea = require(process.env.RHEA);

const number = (name, usual) => Number(process.env[name] || usual);
const LOCK_MS = number('LOCK_MS', 60000);
const DELIVERIES_MAX = number('DELIVERIES_MAX', 10);
const DUPLICATES_MS = number('DUPLICATES_MS', 0);
const IDLE_MS = number('IDLE_MS', 0);
const { KEY_NAME = 'jobs', KEY = 'c2VjcmV0' } = process.env;

const LOCK_LOST = 'com.microsoft:message-lock-lost';
const { types, message } = rhea;

// A lock's token is a GUID; as a delivery's tag its first three groups are turned round.
const turned = (bytes) => Buffer.from([3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map((at) => bytes[at]));

let sequence = 0;

class Queue {
  constructor(name) {
    this.name = name;
    this.ready = [];
    this.locked = new Map(); // by the lock's token
    this.scheduled = new Set();
    this.links = new Set();
    this.seen = new Map(); // message ids, for duplicates
    this.figures = { accepted: 0, duplicates: 0, completed: 0, abandoned: 0, released: 0, lapsed: 0, renewed: 0, lost: 0 };
  }

  put(received) {
    const id = received.message_id;
    if (DUPLICATES_MS && id !== undefined) {
      const now = Date.now();
      for (const [old, at] of this.seen) if (now - at > DUPLICATES_MS) this.seen.delete(old);
      if (this.seen.has(id)) { this.figures.duplicates += 1; return; }
      this.seen.set(id, now);
    }
    this.figures.accepted += 1;
    const held = { content: received, sequence: ++sequence, at: Date.now(), failed: 0, why: undefined };
    const annotations = received.message_annotations || {};
    const due = annotations['x-opt-scheduled-enqueue-time'];
    const wait = due === undefined ? 0 : new Date(due).getTime() - Date.now();
    if (wait <= 0) { this.ready.push(held); this.pump(); return; }
    const timer = setTimeout(() => { this.scheduled.delete(timer); this.ready.push(held); this.pump(); }, wait);
    this.scheduled.add(timer);
  }

  pump() {
    for (const link of this.links) {
      // A link's credit shrinks when its connection writes, a moment later: what was given to it until then counts, too.
      while (this.ready.length && link.sendable() && link.credit > (link.given || 0)) {
        link.given = (link.given || 0) + 1;
        this.deliver(link, this.ready.shift());
        setImmediate(() => { link.given = 0; this.pump(); });
      }
    }
  }

  deliver(link, held) {
    const token = crypto.randomBytes(16);
    const until = Date.now() + LOCK_MS;
    const sent = {
      ...held.content,
      delivery_count: held.failed,
      delivery_annotations: { 'x-opt-lock-token': types.wrap_uuid(token) },
      message_annotations: {
        ...held.content.message_annotations,
        'x-opt-sequence-number': types.wrap_long(held.sequence),
        'x-opt-enqueued-time': types.wrap_timestamp(held.at),
        'x-opt-locked-until': types.wrap_timestamp(until),
      },
      application_properties: { ...held.content.application_properties, ...held.why },
    };
    const delivery = link.send(sent, turned(token));
    const lock = { held, key: token.toString('hex'), until, delivery, queue: this };
    delivery.lock = lock;
    this.locked.set(lock.key, lock);
    this.watch(lock);
  }

  watch(lock) {
    clearTimeout(lock.timer);
    lock.timer = setTimeout(() => {
      if (this.unlock(lock)) { this.figures.lapsed += 1; this.fail(lock.held); }
    }, Math.max(0, lock.until - Date.now()));
  }

  // Whether the lock still was.
  unlock(lock) {
    clearTimeout(lock.timer);
    return this.locked.get(lock.key) === lock && this.locked.delete(lock.key);
  }

  fail(held) {
    held.failed += 1;
    if (held.failed >= DELIVERIES_MAX) {
      this.bury(held, 'MaxDeliveryCountExceeded', `It was given out ${held.failed} times.`);
    } else {
      this.ready.unshift(held);
      this.pump();
    }
  }

  bury(held, reason, description) {
    const dead = queue(`${this.name}/$deadletterqueue`);
    held.failed = 0;
    held.why = { DeadLetterReason: reason, DeadLetterErrorDescription: description };
    dead.ready.push(held);
    dead.pump();
  }

  renew(token) {
    const lock = this.locked.get(token);
    if (!lock) { this.figures.lost += 1; return undefined; }
    this.figures.renewed += 1;
    lock.until = Date.now() + LOCK_MS;
    this.watch(lock);
    return lock.until;
  }
}

const queues = new Map();
function queue(address) {
  const name = address.replace(/^(amqps?|sb):\/\/[^/]*/, '').replace(/^\//, '').toLowerCase();
  if (!queues.has(name)) queues.set(name, new Queue(name));
  return queues.get(name);
}

// === who may ===

function granted(connection, address) {
  const name = address.replace(/^(amqps?|sb):\/\/[^/]*/, '').replace(/^\//, '').toLowerCase();
  const now = Date.now() / 1000;
  return [...(connection.rights || [])].some(([right, until]) => until > now && (name === right || name.startsWith(`${right}/`)));
}

function put_token(connection, asked) {
  const token = String(asked.body);
  const [, fields] = token.match(/^SharedAccessSignature (.*)$/) || [];
  const parts = new Map((fields || '').split('&').map((part) => part.split(/=(.*)/s)));
  const until = Number(parts.get('se'));
  const signature = crypto.createHmac('sha256', KEY).update(`${parts.get('sr')}\n${parts.get('se')}`).digest('base64');
  const good = decodeURIComponent(parts.get('sig') || '') === signature && parts.get('skn') === KEY_NAME && until > Date.now() / 1000;
  if (!good) return 401;
  const right = decodeURIComponent(parts.get('sr')).replace(/^[a-z]+:\/\/[^/]*\//, '').toLowerCase();
  connection.rights = connection.rights || new Map();
  connection.rights.set(right, until);
  return 202;
}

// === links ===

const container = rhea.create_container({ id: 'service-bus' });
const { sasl_server_mechanisms: sasl } = container;
sasl.enable_anonymous();
sasl['MSSBCBS'] = sasl['ANONYMOUS'];

const is_node = (address) => address === '$cbs' || /\$management$/.test(address);

function idle(link) {
  if (!IDLE_MS) return;
  clearTimeout(link.idle);
  link.idle = setTimeout(() => link.close({ condition: 'amqp:link:detach-forced', description: 'The link is idle.' }), IDLE_MS);
}

container.on('sender_open', ({ connection, sender }) => {
  const address = sender.source && sender.source.address;
  const { attach } = sender.remote;
  sender.set_source(sender.source);
  sender.set_target({ address: (sender.target && sender.target.address) || undefined });
  Object.assign(sender.local.attach, {
    initial_delivery_count: 0,
    rcv_settle_mode: attach.rcv_settle_mode || 0,
    snd_settle_mode: attach.snd_settle_mode == null ? 2 : attach.snd_settle_mode,
  });
  if (is_node(address)) {
    connection.answers = connection.answers || [];
    connection.answers.push({ node: address, to: sender.target.address, sender });
    return;
  }
  if (!granted(connection, address)) { sender.close({ condition: 'amqp:unauthorized-access', description: address }); return; }
  sender.queue = queue(address);
  sender.queue.links.add(sender);
  idle(sender);
});
container.on('sendable', ({ sender }) => { if (sender.queue) { idle(sender); sender.queue.pump(); } });
container.on('sender_close', ({ sender }) => { if (sender.queue) sender.queue.links.delete(sender); });
container.on('receiver_open', ({ connection, receiver }) => {
  const { address } = receiver.target;
  receiver.set_target(receiver.target);
  receiver.set_source(receiver.source);
  if (!is_node(address) && !granted(connection, address)) {
    receiver.close({ condition: 'amqp:unauthorized-access', description: address });
    return;
  }
  idle(receiver);
});
container.on('disconnected', ({ connection }) => {
  for (const each of queues.values()) {
    for (const link of [...each.links]) if (link.connection === connection) each.links.delete(link);
  }
});

// === settlements ===

function settle({ delivery }, what) {
  const { lock } = delivery;
  if (!lock || lock.settled) return;
  lock.settled = true;
  if (!lock.queue.unlock(lock)) {
    lock.queue.figures.lost += 1;
    delivery.update(true, message.rejected({ error: { condition: LOCK_LOST, description: 'The lock is lost.' } }).described());
    return;
  }
  const state = delivery.remote_state || {};
  const { figures } = lock.queue;
  let answer;
  if (what === 'accepted') {
    figures.completed += 1;
    answer = message.accepted();
  } else if (what === 'rejected') {
    const { info = {} } = state.error || {};
    lock.queue.bury(lock.held, info.DeadLetterReason, info.DeadLetterErrorDescription);
    // Without an error: Microsoft's client takes one for a refusal.
    answer = message.rejected({});
  } else if (state.delivery_failed === undefined) {
    figures.released += 1;
    lock.queue.ready.unshift(lock.held);
    answer = message.released();
  } else {
    figures.abandoned += 1;
    lock.queue.fail(lock.held);
    answer = message.modified({ delivery_failed: !!state.delivery_failed, undeliverable_here: !!state.undeliverable_here });
  }
  delivery.update(true, answer.described());
  lock.queue.pump();
}
for (const what of ['accepted', 'rejected', 'released', 'modified']) container.on(what, (context) => settle(context, what));

// === messages and questions ===

function answer(connection, node, asked, status, body, condition) {
  const links = connection.answers || [];
  const link = links.find((each) => each.node === node && each.to === asked.reply_to) || links.find((each) => each.node === node);
  if (!link) return;
  const properties = { 'status-code': status, statusCode: status, 'status-description': 'said', statusDescription: 'said' };
  if (condition) properties.errorCondition = condition;
  link.sender.send({ correlation_id: asked.message_id, to: asked.reply_to, application_properties: properties, body });
}

function renew(connection, node, asked) {
  const named = asked.body['lock-tokens'];
  const tokens = Array.isArray(named) ? named : named.value || named;
  const each = queue(node.replace(/\/\$management$/, ''));
  const until = [...tokens].map((token) => each.renew(Buffer.from(token.value || token).toString('hex')));
  if (until.includes(undefined)) {
    answer(connection, node, asked, 410, {}, LOCK_LOST);
  } else {
    answer(connection, node, asked, 200, { expirations: types.wrap_array(until, 0x83) });
  }
}

container.on('message', ({ connection, receiver, delivery, message: asked }) => {
  const { address } = receiver.target;
  idle(receiver);
  delivery.accept();
  const { operation } = asked.application_properties || {};
  if (address === '$cbs') {
    answer(connection, address, asked, put_token(connection, asked), '');
  } else if (is_node(address)) {
    if (!granted(connection, address)) answer(connection, address, asked, 401, {}, 'amqp:unauthorized-access');
    else if (operation === 'com.microsoft:renew-lock') renew(connection, address, asked);
    else answer(connection, address, asked, 501, {}, 'amqp:not-implemented');
  } else {
    queue(address).put(asked);
  }
});

// === the process ===

const sockets = new Set();
function stats() {
  const of = (each) => ({ ready: each.ready.length, locked: each.locked.size, scheduled: each.scheduled.size, ...each.figures });
  return Object.fromEntries([...queues.values()].map((each) => [each.name, of(each)]));
}
readline.createInterface({ input: process.stdin }).on('line', (word) => {
  if (word === 'drop') for (const socket of sockets) socket.destroy();
  console.log(JSON.stringify(stats()));
}).on('close', () => process.exit(0));

for (const fault of ['error', 'connection_error', 'session_error', 'protocol_error']) container.on(fault, () => {});
container.options.autosettle = false;
container.options.sender_options = { autosettle: false };
container.options.receiver_options = { autoaccept: false, credit_window: 200 };
const server = container.listen({ port: number('PORT', 0), host: '127.0.0.1' });
server.on('connection', (socket) => { sockets.add(socket); socket.on('close', () => sockets.delete(socket)); });
server.on('listening', () => console.log(`listening ${server.address().port}`));
