import { endpoint } from "./config";
import { type Entry, queue, remove } from "./queue";

const enum Bytes {
  /** The 64 KiB that keepalive requests may carry are one budget for all of them together; some is left to others. */
  keepalive = 57344,
  body = 524288,
  envelope = 64,
}

/** Milliseconds. An outage costs a client at most ten requests a minute: waits of 1-2 s, 2-4 s, ... 30-60 s. */
const enum Wait {
  debounce = 250,
  answer = 15000,
  first = 2000,
  longest = 60000,
  /** After three failures of the network and no success ever, something blocks us. */
  blocked = 300000,
}

let inFlight = 0; // keepalive bytes
let active = 0; // requests
let failures = 0;
let reached = false; // the collector has answered at least once
let stopped = false; // it refuses this page: wrong key or origin
let notBefore = 0; // on the page's own clock, which nobody sets
let timer = 0;
let current: Promise<unknown> = Promise.resolve();

const retryable = (status: number): boolean => [0, 408, 425, 429].includes(status) || status >= 500;

/** Sends soon: the first event of a quiet time at once, the next ones together. */
export function schedule(): void {
  if (!timer) {
    send();
    if (!timer) wake(Wait.debounce);
  }
}

function wake(after: number): void {
  clearTimeout(timer);
  timer = setTimeout(() => {
    timer = 0;
    send();
  }, after) as unknown as number;
}

/** Sends what waits; resolves when it was answered or has failed. During an outage it keeps to the waits. */
export async function flush(): Promise<void> {
  while (active) await current;
  send();
  while (active) await current;
}

/** Sends what waits, and ends the waits of an outage: there is reason to think that it is over. */
export function retryNow(): void {
  notBefore = 0;
  send();
}

/** Takes as many waiting events as fit. */
function take(budget: number): Entry[] {
  budget -= Bytes.envelope;
  return queue.filter((entry) => !entry.sending && (budget -= entry.bytes + 1) >= 0);
}

/**
 * Sends what waits. One request runs at a time, so that order is kept; a page that is leaving sends everything that the
 * keepalive budget still takes, and the rest stays stored for the next page.
 */
export function send(leaving?: boolean): void {
  const wait = notBefore - performance.now();
  if (wait > 0 && !leaving) return wake(wait); // timers may fire a little early
  while (!stopped && (leaving || (!active && navigator.onLine !== false))) {
    let batch = take(Bytes.keepalive - inFlight);
    let keepalive = true;
    if (!batch.length && !leaving) {
      batch = take(Bytes.body);
      keepalive = false;
    }
    if (!batch.length) break;
    current = Promise.all([current, post(batch, keepalive, leaving)]);
  }
}

async function post(batch: Entry[], keepalive: boolean, leaving?: boolean): Promise<void> {
  const body = `{"sent_at":${Date.now()},"events":[${batch.map((entry) => entry.json)}]}`;
  const bytes = keepalive ? batch.reduce((sum, entry) => sum + entry.bytes + 1, Bytes.envelope) : 0;
  batch.forEach((entry) => (entry.sending = true));
  if (leaving && !("keepalive" in Request.prototype)) {
    // Nobody tells whether a beacon arrived, only whether the browser took it.
    if (navigator.sendBeacon(endpoint, body)) remove(batch);
    return;
  }
  active++;
  inFlight += bytes;
  let status = 0;
  let wait = 0;
  let rejected: unknown[] = [];
  try {
    // A string body is text/plain: no preflight.
    const signal = AbortSignal.timeout?.(Wait.answer);
    const answer = await fetch(endpoint, { method: "POST", body, keepalive, signal });
    status = answer.status;
    wait = +(answer.headers.get("Retry-After") || 0) * 1e3;
    if (answer.ok) ({ rejected } = await answer.json());
  } catch {
    // No answer: status stays 0. Half an answer: what its status says.
  }
  active--;
  inFlight -= bytes;
  batch.forEach((entry) => (entry.sending = false));
  if (status) reached = true;
  if (retryable(status)) {
    const span = Math.min(Wait.first * 2 ** failures++, Wait.longest);
    const backoff = failures >= 3 && !reached ? Wait.blocked : span / 2 + (Math.random() * span) / 2;
    wait = Math.max(wait, backoff);
    notBefore = performance.now() + wait;
    return wake(wait);
  }
  if ([401, 403, 404].includes(status)) {
    stopped = true; // the events stay stored: the key or the address may be put right
    console.warn("millrace: refused, check data-key and its origins", status);
    return;
  }
  if (status >= 300) rejected = batch.map((entry) => entry.json);
  if (rejected?.length) console.warn("millrace: bad events", status, rejected);
  failures = 0;
  remove(batch); // stored, or not worth a second try
  send();
}
