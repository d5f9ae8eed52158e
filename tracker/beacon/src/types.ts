/** How a page configures the beacon. */
export interface Options {
  /** The shop's public key, pk_... */
  key: string;
  /** Events go to v1/events beside this address, such as https://millrace.your-shop.example/ (with the slash). */
  url: string;
  /** "required": nothing is sent or stored before consent is called; "cookieless": until then events go without ids. */
  consent?: "required" | "cookieless";
  /** The fragment is part of the route: a change of it is a page view. */
  hash?: boolean;
  /** false: pushes to dataLayer are not read. */
  ga4?: boolean;
  /** What is recorded, sent and answered is written to the console. */
  debug?: boolean;
}

/** The GA4 e-commerce names, those of Millrace, and any other [a-z][a-z0-9_]{0,39}. */
export type EventType =
  | "page_view"
  | "view_item_list"
  | "select_item"
  | "view_item"
  | "search"
  | "add_to_cart"
  | "remove_from_cart"
  | "add_to_wishlist"
  | "begin_checkout"
  | "purchase"
  | "refund"
  | "rate_item"
  | "engage"
  | (string & {});

export type Id = string | number;

export interface Item {
  item_id: Id;
  /** Its place in a list, from 0. */
  index?: number | string;
  quantity?: number | string;
  price?: number | string;
  item_name?: string;
  item_category?: string;
  item_category2?: string;
  item_category3?: string;
  item_brand?: string;
  item_variant?: string;
}

/** Which recommendation an event answers: rec_id, placement and token of the answer, and the place in it, from 0. */
export interface Rec {
  rec_id: string;
  placement?: string;
  index?: number;
  token?: string;
}

/** The fields of an event; for one item its own may stand beside them instead of items. */
export interface Fields extends Partial<Item> {
  items?: (Item | Id)[];
  search_term?: string;
  value?: number | string;
  currency?: string;
  rating?: number | string;
  transaction_id?: Id;
  rec?: Rec;
  /** Up to 64 more, each a text, a number or a boolean. */
  props?: Record<string, string | number | boolean>;
}

export interface Consent {
  personalization?: boolean;
  analytics?: boolean;
}

export interface Millrace {
  /** Records an event; its id is returned, empty where the visitor refused to be measured. */
  track(type: EventType, fields?: Fields): string;
  /** Says who the visitor is, in the shop's own id; may be repeated on every page. */
  identify(userId: Id): void;
  logout(): void;
  /** The visitor's decision; what is not named stays as it was. */
  consent(given: Consent): void;
  /** Sends what waits; resolves when it was answered or has failed. */
  flush(): Promise<void>;
  /** The ids that go with events, for a recommendation request; empty where the visitor refused. */
  anonymousId(): string;
  sessionId(): string;
  /** The newest event, for after_event of a recommendation request. */
  lastEventId(): string | undefined;
  /** Runs commands: [name, ...arguments] or functions. */
  push(...commands: ([string, ...unknown[]] | (() => void))[]): void;
}
