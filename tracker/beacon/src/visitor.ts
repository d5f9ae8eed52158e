import { consentRequired } from "./config";
import { uuid } from "./ids";
import { get, put, tabLocal } from "./store";

export interface Consent {
  personalization?: boolean;
  analytics?: boolean;
}

/** The session rule of the product in milliseconds: 30 minutes idle, 24 hours at most. It is the same in package event. */
const enum Session {
  idle = 1800000,
  max = 86400000,
  /** It changes with every event, and is written this often at most. */
  writeInterval = 5000,
}

/** The visitor's own decision as JSON, empty while there is none. */
let chosen = get("mr.c");
let consent: Consent = chosen ? JSON.parse(chosen) : {};

/** Whether events wait for that decision. */
export const held = (): boolean => consentRequired && !chosen;
export const measured = (): boolean => consent.analytics !== false;
/** Whether ids may be made, kept and sent. Global Privacy Control refuses, unless the visitor allowed it here. */
export const personal = (): boolean =>
  !held() && (consent.personalization ?? !(navigator as { globalPrivacyControl?: boolean }).globalPrivacyControl);

export function setConsent(given: Consent): void {
  consent = { ...consent, ...given };
  put("mr.c", (chosen = JSON.stringify(consent))); // the choice itself, so that the next page knows it
  if (!personal() || !measured()) {
    anonymous = session = "";
    for (const name of ["mr.id", "mr.u", "mr.s"]) put(name, "");
  }
}

let anonymous = "";
let session = "";
let written = 0;

export function anonymousId(): string {
  if (personal() && !anonymous) put("mr.id", (anonymous = get("mr.id") || uuid()));
  return anonymous;
}

export const userId = (): string => (personal() ? get("mr.u") : "");

/** Keeps the shop's own id of the visitor. Another user than before begins another session. */
export function setUser(id: string): void {
  if (get("mr.u")) endSession();
  put("mr.u", id);
}

export function endSession(): void {
  put("mr.s", (session = ""));
}

/** The running session, touched at now; it is shared by the tabs of a browser. */
export function sessionId(now = Date.now()): string {
  if (!personal()) return "";
  let [id, start, last] = (get("mr.s") || session).split("_");
  if (!id || now - +last >= Session.idle || now - +start >= Session.max) {
    id = uuid(now);
    start = "" + now;
    written = 0;
  }
  session = id + "_" + start + "_" + now;
  if (Math.abs(now - written) >= Session.writeInterval) {
    put("mr.s", session);
    written = now;
  }
  return id;
}

/**
 * A tab and the number of its last event. While a page lives, its tab's state is in memory only: a duplicated tab, which
 * gets a copy of sessionStorage, cannot take it for its own.
 */
export let tab: { id: string; seq: number };

export function openTab(): void {
  const [id, seq] = (tabLocal?.getItem("mr.t") || "").split("_");
  tabLocal?.removeItem("mr.t");
  tab = { id: id || uuid().slice(-12), seq: +seq || 0 };
}

export function closeTab(): void {
  try {
    if (personal()) tabLocal?.setItem("mr.t", tab.id + "_" + tab.seq);
  } catch {
    // Full: the next page is a new tab to us.
  }
}

/** The fields that say who and by what permission. */
export const identity = (now: number): object => ({
  consent: chosen || !personal() ? { ...consent, personalization: personal() } : undefined,
  ...(personal() && {
    anonymous_id: anonymousId(),
    user_id: userId() || undefined,
    session_id: sessionId(now),
    tab_id: tab.id,
    seq: ++tab.seq,
  }),
});
