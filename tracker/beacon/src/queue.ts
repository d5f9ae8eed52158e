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

const enum Limit {
  entries = 500,
  bytes = 524288,
  age = 604800000, // 7 days in ms; the stream knows ids for 8
  /** Where no lock tells whether a tab lives, its events are taken over after a minute. */
  orphanAge = 60000,
}

/** Each event has a storage key of its own, written before it is sent: no array is rewritten, and a crash loses nothing. */
const prefix = "mr.q." + (key || "").slice(-8) + ".";
const encoder = new TextEncoder();

export let queue: Entry[] = [];

function append(name: string, json: string): void {
  queue.push({ name, json, bytes: encoder.encode(json).length });
  let total = queue.reduce((sum, entry) => sum + entry.bytes, 0);
  // The oldest goes first; the gap in seq tells the collector how many.
  while (queue.length > Limit.entries || total > Limit.bytes) {
    total -= queue[0].bytes;
    remove([queue[0]]);
  }
}

export function enqueue(event: object): void {
  const name = prefix + tab.id + "." + ("" + tab.seq).padStart(9, "0");
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
export const unstore = (): void => stored().forEach((name) => local!.removeItem(name));

/** Forgets every event: the visitor does not want to be measured. */
export function clear(): void {
  unstore();
  queue = [];
}

/** The names of all stored events, of every tab; within a tab they sort by age. */
const stored = (): string[] =>
  Object.keys(local || {})
    .filter((name) => name.startsWith(prefix))
    .sort();

const ownerOf = (name: string): string => name.slice(prefix.length).split(".")[0];

/** Takes the stored events of one tab into the queue; expired ones are dropped. */
function load(owner: string, minAge: number): void {
  for (const name of stored()) {
    if (ownerOf(name) !== owner || queue.some((entry) => entry.name === name)) continue;
    const json = local!.getItem(name)!;
    const age = Date.now() - JSON.parse(json).occurred_at;
    if (age > Limit.age) local!.removeItem(name);
    else if (age >= minAge) append(name, json);
  }
}

let releases: (() => void)[] = [];

/**
 * Takes a lock until the page goes away (held for longer, it would keep the page out of the back-forward cache), and calls
 * then once it is taken. Where there are no locks, as on plain http, it is always free.
 */
const hold = (name: string, then?: () => void): void => {
  if (!navigator.locks) then?.();
  else
    navigator.locks.request(name, { ifAvailable: !!then }, (lock) => {
      if (!lock) return;
      then?.();
      return new Promise<void>((release) => releases.push(release));
    });
};

/** Starts the queue of a page: what this tab left behind, and a lock that says the tab lives. */
export function open(): void {
  queue = [];
  load(tab.id, 0);
  hold(prefix + tab.id); // waits for the page that is just going away
}

export function close(): void {
  releases.forEach((release) => release());
  releases = [];
}

/** Takes over the events of tabs that are gone: those whose lock is free, or without locks those a minute old. */
export function adopt(then: () => void): void {
  for (const owner of new Set(stored().map(ownerOf))) {
    if (owner !== tab.id) {
      hold(prefix + owner, () => {
        load(owner, navigator.locks ? 0 : Limit.orphanAge);
        then();
      });
    }
  }
}
