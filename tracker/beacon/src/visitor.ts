import { config } from "./config";
import { uuid } from "./ids";
import { drop, get, put, tabLocal } from "./store";

export interface Consent {
  personalization?: boolean;
  analytics?: boolean;
}

/** The session rule of the product in milliseconds: 30 minutes idle, 24 hours at most. It is the same in package event. */
const enum Session {
  idle = 1800000,
  max = 86400000,
}

/** The visitor's own decision, as JSON. */
const decision = (): string | undefined => get("mr.c");
const consent = (): Consent => JSON.parse(decision() || "{}");

/** Whether events wait for that decision. */
export const held = (): boolean => config.consent == "required" && !decision();
export const measured = (): boolean => consent().analytics != false;
/** Whether ids may be made, kept and sent. Global Privacy Control refuses, unless the visitor allowed it here. */
export const personal = (): boolean =>
  consent().personalization ?? !(config.consent || (navigator as { globalPrivacyControl?: boolean }).globalPrivacyControl);

export function decide(given: Consent): void {
  put("mr.c", JSON.stringify({ ...consent(), ...given })); // the choice itself, so that the next page knows it
  if (!personal() || !measured()) ["mr.id", "mr.u", "mr.s", "mr.a"].forEach(drop);
}

export const anonymousId = (): string => (personal() ? get("mr.id") || put("mr.id", uuid()) : "");

export const userId = (): string | undefined => get("mr.u");

/** Keeps the shop's own id of the visitor. Another user than before begins another session. */
export function setUser(id: string): void {
  if (userId()) drop("mr.s");
  put("mr.u", id);
}

/** The running session, touched now; it is shared by the tabs of a browser. */
export function sessionId(): string {
  if (!personal()) return "";
  const now = Date.now();
  let [id, start, last] = (get("mr.s") || "").split("_");
  if (!(now - +last < Session.idle && now - +start < Session.max)) (id = uuid()), (start = "" + now);
  put("mr.s", id + "_" + start + "_" + now);
  return id;
}

/**
 * A tab and the number of its last event. While a page lives, its tab's state is in memory only: a duplicated tab, which
 * gets a copy of sessionStorage, cannot take it for its own.
 */
export let tab: string;
export let seq: number;
let left: boolean;

export function openTab(): void {
  const [id, last] = (tabLocal["mr.t"] || "").split("_");
  delete tabLocal["mr.t"];
  tab = id || uuid().slice(-12);
  seq = +last || 0;
  left = false;
}

export function closeTab(): void {
  left = true;
  if (personal()) put("mr.t", tab + "_" + seq, tabLocal);
}

/** The fields that say who and by what permission. */
export function identity(): object {
  if (!personal()) return { consent: { ...consent(), personalization: false } };
  seq++;
  if (left) closeTab(); // an event after pagehide
  return {
    anonymous_id: anonymousId(),
    user_id: userId(),
    session_id: sessionId(),
    tab_id: tab,
    seq,
    consent: decision() && { ...consent(), personalization: true },
  };
}
