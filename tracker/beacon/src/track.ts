import { uuid } from "./ids";
import { enqueue } from "./queue";
import { schedule } from "./send";
import { held, identity, measured } from "./visitor";

/** Fields of an event, in the names of the API. */
export type Fields = Record<string, any>;

/** The page view that is going on. */
export const page = { id: "", url: "" };

let last = "";
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
  const acts = waiting;
  waiting = [];
  if (measured()) acts.forEach((act) => act());
}

const numeric = (value: any): number | undefined => (value == null || value === "" || isNaN(value) ? undefined : +value);

/** Shops write ids as numbers and prices as text; the API wants it the other way round. An id alone is an item too. */
const item = (given: Fields | string | number): Fields =>
  typeof given === "object"
    ? { ...given, item_id: "" + given.item_id, price: numeric(given.price), quantity: numeric(given.quantity) }
    : { item_id: "" + given };

/** Records one event; its id is returned, empty where the visitor refused to be measured. */
export function track(type: string, fields: Fields = {}): string {
  if (!measured()) return "";
  const now = Date.now();
  const id = (last = uuid(now));
  const at = { page_view_id: page.id, page: { url: page.url } };
  whenDecided(() => {
    try {
      const given = { ...fields, value: numeric(fields.value) };
      if (fields.items) given.items = fields.items.map(item);
      if (fields.item_id !== undefined) Object.assign(given, item(fields));
      enqueue({ ...at, ...given, event_id: id, type, occurred_at: now, ...identity(now) });
      schedule();
    } catch (error) {
      console.warn("millrace:", error); // fields that are no JSON must not stop the shop's own code
    }
  });
  return id;
}
