import { config, log } from "./config";
import { clock } from "./ids";
import { mark, unmark, waiting } from "./queue";
import { drop, get } from "./store";
import { personal } from "./visitor";

/** The 64 KiB that keepalive requests may carry are one budget for all of them together; some is left to others. */
const enum Bytes {
  keepalive = 57344,
}

/** Milliseconds. */
const enum Wait {
  debounce = 250,
  answer = 15000,
  /** After the n-th failure in a row n times this at least, so that an outage costs a client ten requests a minute at most. */
  least = 1500,
  /** On top a random part of 2, 4, 8, ... 60 s. */
  jitter = 1000,
  longest = 60000,
  /** The collector refuses this page, or it was never reached in three attempts: something blocks us. */
  blocked = 300000,
}

let room: number = Bytes.keepalive;
let active = 0; // requests
let failures = 0;
let status: number; // of the last answer, 0 for none
let reached: number; // the collector has answered at least once
let notBefore = 0; // on the page's own clock, which nobody sets
let timer: any;
let current: unknown;

/** Sends soon: the first event of a quiet time at once, the next ones together. */
export function schedule(): void {
  if (timer) return;
  send("now");
  if (!timer) wake(Wait.debounce);
}

function wake(after: number): void {
  clearTimeout(timer);
  timer = setTimeout(() => {
    timer = 0;
    send("timer");
  }, after);
}

/** Sends what waits; resolves when it was answered or has failed. During an outage it keeps to the waits. */
export async function flush(): Promise<void> {
  send("flush");
  while (active) await current;
}

/** The network is back: the waits that its absence caused are over. */
export function online(): void {
  if (!status) notBefore = failures = 0;
  send("online");
}

/**
 * Sends what waits and fits. Two requests run at a time at most, and one while they fail; a page that is leaving sends all
 * that the browser takes, and the rest stays stored for the next page.
 */
export function send(why: string, leaving?: boolean): void {
  const wait = notBefore - performance.now();
  if (wait > 0) return wake(wait); // timers may fire a little early
  if (!leaving && (active > (failures ? 0 : 1) || !navigator.onLine)) return;
  let left = room;
  const batch = waiting().filter((name) => (left -= new Blob([get(name)!]).size + 1) > 0);
  if (batch[0]) current = Promise.all([current, post(why, batch, room - left, leaving || !failures)]);
}

async function post(why: string, batch: string[], size: number, keepalive: boolean): Promise<void> {
  const body = `{"sent_at":${clock()},"events":[${batch.map(get)}]}`;
  log(why, batch.length, body);
  mark(batch);
  active++;
  room -= size;
  const answer = await fetch(new URL("v1/events?key=" + config.key, config.url), {
    method: "POST",
    body, // text/plain: no preflight
    keepalive,
    credentials: personal() ? "include" : "omit",
    signal: AbortSignal.timeout(Wait.answer),
  }).catch(() => {});
  // What is not the collector's own answer, as that of a network's login page, says nothing of the events.
  const said = await answer?.json().catch(() => {});
  active--;
  room += size;
  status = answer?.status || 0;
  reached ||= status;
  if (!said?.rejected || said.rejected[0]) console.warn("millrace", status, said);
  if (said?.rejected || status == 400 || status == 413) {
    // Stored, or not worth a second try.
    failures = 0;
    batch.forEach(drop);
    return send("next");
  }
  unmark(batch);
  failures++;
  const blocked = status ? status < 405 : failures > 2 && !reached;
  const wait = Math.max(+answer?.headers.get("Retry-After")! * 1e3 || 0, blocked ? Wait.blocked : Wait.least * failures);
  notBefore = performance.now() + wait;
  wake(wait + Math.random() * Math.min(Wait.jitter * 2 ** failures, Wait.longest));
}
