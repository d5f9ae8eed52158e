import { key } from "./config";
import { local } from "./store";
import { personal, tab } from "./visitor";

/** One event on its way: its JSON, the name under which it is stored, whether a request carries it now. */
export interface Entry {
  name: string;
  json: string;
  bytes: number;
  sending?: boolean;
}

const maxEntries = 500;
const maxBytes = 524288;
const maxAge = 6048e5; // 7 days; the stream knows ids for 8

/** Each event has a storage key of its own, written before it is sent: no array is rewritten, and a crash loses nothing. */
const prefix = "mr.q." + (key || "").slice(-8) + ".";
const encoder = new TextEncoder();

export let queue: Entry[] = [];

function append(name: string, json: string): void {
  queue.push({ name, json, bytes: encoder.encode(json).length });
  let total = queue.reduce((sum, entry) => sum + entry.bytes, 0);
  // The oldest goes first; the gap in seq tells the collector how many.
  while (queue.length > maxEntries || total > maxBytes) {
    total -= queue[0].bytes;
    remove([queue[0]]);
  }
}

export function enqueue(event: object): void {
  const name = prefix + tab.id + "." + tab.seq;
  const json = JSON.stringify(event);
  try {
    if (personal()) local?.setItem(name, json);
  } catch {
    // Full: this one lives in memory only.
  }
  append(name, json);
}

export function remove(entries: Entry[]): void {
  queue = queue.filter((entry) => !entries.includes(entry));
  for (const entry of entries) local?.removeItem(entry.name);
}

/** Takes every event off the device; those of this page are still sent, from memory. */
export const unstore = (): void => stored().forEach(([, name]) => local!.removeItem(name));

/** Forgets every event: the visitor does not want to be measured. */
export function clear(): void {
  unstore();
  queue = [];
}

/** The stored events of every tab, as [tab, name], oldest first within a tab. */
function stored(): [string, string][] {
  return Object.keys(local || {})
    .filter((name) => name.startsWith(prefix))
    .map((name): [string, string, number] => {
      const [tabId, seq] = name.slice(prefix.length).split(".");
      return [tabId, name, +seq];
    })
    .sort((a, b) => a[2] - b[2])
    .map(([tabId, name]) => [tabId, name]);
}

/** Takes the stored events of one tab into the queue; expired ones are dropped. */
function load(owner: string, olderThan = 0): void {
  const now = Date.now();
  for (const [tabId, name] of stored()) {
    if (tabId !== owner || queue.some((entry) => entry.name === name)) continue;
    const json = local!.getItem(name)!;
    const age = now - +/"occurred_at":(\d+)/.exec(json)![1];
    if (age > maxAge) local!.removeItem(name);
    else if (age >= olderThan) append(name, json);
  }
}

let releases: (() => void)[] = [];

/** Takes a lock until the page goes away; a held lock would keep it out of the back-forward cache. */
const hold = (name: string, held?: () => void): void =>
  void navigator.locks
    ?.request(name, { ifAvailable: !!held }, (lock) => {
      if (!lock) return;
      held?.();
      return new Promise<void>((release) => releases.push(release));
    })
    .catch(() => 0);

/** Starts the queue of a page: what this tab left behind, and a lock that says the tab lives. */
export function open(): void {
  queue = [];
  load(tab.id);
  hold(prefix + tab.id);
}

export function close(): void {
  releases.forEach((release) => release());
  releases = [];
}

/** Takes over the events of tabs that are gone: those whose lock is free, or without locks those a minute old. */
export function adopt(then: () => void): void {
  for (const owner of new Set(stored().map(([tabId]) => tabId))) {
    if (owner === tab.id) continue;
    const take = (): void => {
      load(owner);
      then();
    };
    if (navigator.locks) hold(prefix + owner, take);
    else {
      load(owner, 6e4);
      then();
    }
  }
}
