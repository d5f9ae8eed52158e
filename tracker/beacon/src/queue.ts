import { config } from "./config";
import { clock } from "./ids";
import { drop, get, local, memory, put } from "./store";
import { personal, seq, tab } from "./visitor";

const enum Limit {
  entries = 500,
  chars = 524288,
  age = 604800000, // 7 days in ms; the stream knows ids for 8
  seq = 1e9, // is added to numbers, so that names sort by them
}

// Each event has a storage key of its own, written before it is sent: no array is rewritten, and a crash loses nothing.
// Its name, mr.q.KEY.TIME.TAB-PAGE.NUMBER, says all that is asked of it; names sort by age.
let prefix: string;

/** The page whose events these are: the tab, and how many events it had before. */
let owner: string;
/** Pages whose events this one sends: itself, and those that are gone and left some. */
let owned: string[] = [];

/** Names of events that a request carries now, or has delivered. */
let sending: string[] = [];
export const mark = (names: string[]): void => void (sending = sending.concat(names));
export const unmark = (names: string[]): void => void (sending = sending.filter((name) => !names.includes(name)));

const ownerOf = (name: string): string => name.split(".")[4];

/** The names of all events that are kept, of every tab, oldest first. */
const kept = (): string[] =>
  Object.keys(memory)
    .concat(Object.keys(local))
    .filter((name) => name.startsWith(prefix))
    .sort();

/** The names of the events that this page has to send, oldest first. */
export const waiting = (): string[] => kept().filter((name) => owned.includes(ownerOf(name)) && !sending.includes(name));

export function enqueue(json: string): void {
  put(prefix + clock() + "." + owner + "." + (Limit.seq + seq), json, personal() ? local : memory);
  let entries = 0;
  let chars = 0;
  // The oldest go first; the gap in seq tells the collector how many.
  for (const name of kept().reverse()) {
    chars += get(name)!.length;
    if (chars > Limit.chars || ++entries > Limit.entries) drop(name);
  }
}

/** Forgets every event: the visitor does not want to be measured, or not as a person. */
export const forget = (): void => kept().forEach(drop);

let releases: (() => void)[] = [];

/**
 * Takes the lock of a page, until this one goes away (held for longer, it would keep it out of the back-forward cache), and
 * makes its events ours. Where there are no locks, as on plain http, it is always free.
 */
function own(page: string, then?: () => void): void {
  const take = (lock: unknown): any => {
    if (!lock) return;
    owned.push(page);
    then?.();
    return new Promise<void>((release) => releases.push(release));
  };
  if (navigator.locks) navigator.locks.request(prefix + page, { ifAvailable: true }, take);
  else take(1);
}

/** Starts the queue of a page. */
export function open(): void {
  prefix = "mr.q." + config.key + ".";
  owner = tab + "-" + seq;
  owned = [owner];
  own(owner);
}

/** The page goes away. */
export function close(): void {
  releases.forEach((release) => release());
  releases = [];
}

/**
 * Takes over the events of pages that are gone, this tab's own and others': those whose lock is free. Those that a page sent
 * while it went away have a receipt: the collector set a cookie of a minute, which names tabs and numbers.
 */
export function adopt(then: () => void): void {
  let receipts: string[] | null;
  try {
    receipts = document.cookie.match(/\w+-\d+-\d+/g);
  } catch {
    // Blocked: some events will arrive twice.
  }
  const pages = new Set(owned);
  for (const name of kept()) {
    const [, , , time, page, number] = name.split(".");
    const arrived = receipts!?.some((each) => {
      const [id, first, last] = each.split("-");
      return page.startsWith(id + "-") && +number >= Limit.seq + +first && +number <= Limit.seq + +last;
    });
    if (arrived || Date.now() - +time > Limit.age) drop(name);
    else if (!pages.has(page)) pages.add(page), own(page, then);
  }
}
