import { log } from "./config";
import { clock, uuid } from "./ids";
import { pageId, pageUrl } from "./page";
import { enqueue } from "./queue";
import { attribute } from "./rec";
import { schedule } from "./send";
import { held, identity, measured } from "./visitor";

/** Fields of an event, in the names of the API. */
export type Fields = Record<string, any>;

let last: string;
/** The id of the newest event, for a list that must reflect it (after_event). */
export const lastEventId = (): string => last;

let waiting: (() => void)[] = [];

/** Does something now, or once the visitor has decided where that is required. */
export function whenDecided(act: () => void): void {
  if (held()) waiting.push(act);
  else act();
}

/** Does what waited for the decision, or forgets it. */
export function release(): void {
  if (measured()) waiting.forEach((act) => act());
  waiting = [];
}

/** Shops write ids as numbers and prices as text; the API wants it the other way round. What is no number becomes null. */
function tidy(given: Fields): Fields {
  const made = { ...given };
  for (const name in made) {
    const value = made[name];
    if (/^item_|_id$|_term$/.test(name)) made[name] = value != null ? "" + value : value;
    else if (/price|quantity|index|value|rating/.test(name)) made[name] = parseFloat(value) && +value;
  }
  return made;
}

/** Records one event; its id is returned, empty where the visitor refused to be measured. */
export function track(type: string, fields?: Fields): string {
  if (!measured()) return "";
  const occurred_at = clock();
  const event_id = (last = uuid(occurred_at));
  const at = { event_id, type, occurred_at, page_view_id: pageId, page: { url: pageUrl } };
  whenDecided(() => {
    try {
      const given = tidy(fields!);
      // An id alone is an item too.
      given.items = given.items?.map((each: any) => tidy(each.item_id ? each : { item_id: each }));
      if (OBSERVE) attribute(type, given);
      const json = JSON.stringify({ ...at, ...given }).slice(0, -1); // before the event has a number: it may be none
      enqueue(json + "," + JSON.stringify(identity()).slice(1));
      log(type, given);
      schedule();
    } catch (error) {
      console.warn("millrace", error); // fields that are no JSON must not stop the shop's own code
    }
  });
  return event_id;
}
