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

/** Sends what was held back until the visitor decided, or forgets it. */
export function release(): void {
  const events = waiting;
  waiting = [];
  if (measured()) events.forEach((record) => record());
}

const numeric = (value: unknown): number | undefined =>
  value === undefined || value === "" || isNaN(+(value as string)) ? undefined : +(value as string);

/** Shops write ids as numbers and prices as text; the API wants it the other way round. An id alone is an item too. */
function item(given: Fields | string | number): Fields {
  if (typeof given !== "object") return { item_id: "" + given };
  const { item_id, price, quantity } = given;
  return { ...given, item_id: "" + item_id, price: numeric(price), quantity: numeric(quantity) };
}

/** Records one event; its id is returned, empty where the visitor refused to be measured. */
export function track(type: string, fields: Fields = {}): string {
  if (!measured()) return "";
  const now = Date.now();
  const id = (last = uuid(now));
  const at = { page_view_id: page.id, page: { url: page.url } };
  const { item_id, items, value } = fields;
  const given: Fields = { ...fields, value: numeric(value) };
  if (items) given.items = items.map(item);
  if (item_id !== undefined) Object.assign(given, item(fields));
  const record = (): void => {
    enqueue({ event_id: id, type, occurred_at: now, ...at, ...given, ...identity(now) });
    schedule();
  };
  if (held()) waiting.push(record);
  else record();
  return id;
}
