import { type Fields, track } from "./track";

// What pages declare:
//   data-millrace-item="ID"      an item; -name -category -brand -price -quantity -index beside it describe it
//   data-millrace-event="TYPE"   view_item: this page shows the item; any other type: a click here is that event
//   data-millrace-rec="REC_ID"   a recommended list; data-millrace-placement names its placement

type Tagged = HTMLElement | SVGElement;

const itemSelector = "[data-millrace-item]";
const listSelector = "[data-millrace-rec]";
const viewItem = "view_item";

const enum Impression {
  share = 0.5, // of the element in view
  time = 1000, // ms
}

/** Changes of the page that come together are looked at together, after so many milliseconds. */
const enum Scan {
  delay = 100,
}

const closest = (element: Element | null | undefined, selector: string): Tagged | null =>
  element ? (element.closest(selector) as Tagged | null) : null;

const read = (element: Tagged, name: string): string | undefined =>
  element.getAttribute("data-millrace-" + name) ?? undefined;

/** The fields of an event about an element: its item, and the recommendation that it is part of. */
function fieldsOf(element: Tagged): Fields {
  const tagged = closest(element, itemSelector);
  if (!tagged) return {};
  const list = closest(tagged, listSelector);
  const index =
    read(tagged, "index") ?? (list ? [...list.querySelectorAll(itemSelector)].indexOf(tagged) : undefined);
  const item: Fields = { item_id: read(tagged, "item"), index: index && +index };
  for (const name of ["name", "category", "brand"]) item["item_" + name] = read(tagged, name);
  for (const name of ["price", "quantity"]) item[name] = read(tagged, name);
  return {
    items: [item],
    rec: list
      ? { rec_id: read(list, "rec"), placement: read(list, "placement"), index: item.index }
      : undefined,
  };
}

/** Clicks: a declared event where there is one, else the choice of an item in a recommended list. */
export function onClick(click: MouseEvent): void {
  if (click.button > 1 || !(click.target instanceof Element)) return;
  const action = closest(click.target, "[data-millrace-event]");
  const type = action && read(action, "event");
  const chosen = closest(click.target, itemSelector);
  if (type && type !== viewItem) track(type, fieldsOf(action));
  else if (closest(chosen, listSelector)) track("select_item", fieldsOf(chosen!));
}

/** What each element stood for when it was last looked at; a framework may reuse it for another item. */
let known = new WeakMap<Element, string>();
/** Items whose impression in this page view is counted. */
let seen = new Set<string>();
const timers = new Map<Element, number>();
let shown = new Map<Element | null, Tagged[]>();

const nameOf = (element: Tagged): string => {
  const list = closest(element, listSelector);
  return (list && read(list, "rec")) + " " + read(element, "item");
};

const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, intersectionRatio } of entries) {
      clearTimeout(timers.get(target));
      if (intersectionRatio >= Impression.share) {
        timers.set(target, setTimeout(() => show(target as Tagged), Impression.time) as unknown as number);
      }
    }
  },
  { threshold: Impression.share },
);

function show(element: Tagged): void {
  observer.unobserve(element);
  const name = nameOf(element);
  if (!element.isConnected || seen.has(name)) return;
  seen.add(name);
  const list = closest(element, listSelector);
  shown.set(list, [...(shown.get(list) || []), element]);
  if (shown.size === 1) setTimeout(reportShown, Scan.delay);
}

/** Sends the impressions that are counted, one event a list. */
export function reportShown(): void {
  const lists = shown;
  shown = new Map();
  for (const elements of lists.values()) {
    const fields = elements.map(fieldsOf);
    track("view_item_list", {
      items: fields.map((each) => each.items[0]),
      rec: { ...fields[0].rec, index: undefined },
    });
  }
}

/** Stops every running measurement: nobody is looking. A new page view also forgets what was counted. */
export function pause(newView?: boolean): void {
  reportShown();
  observer.disconnect();
  timers.forEach((timer) => clearTimeout(timer));
  timers.clear();
  if (newView) seen = new Set();
}

/** Looks for items; fresh looks at all of them again. */
export function scan(fresh?: boolean): void {
  document.querySelectorAll<Tagged>(itemSelector).forEach((element) => {
    const name = nameOf(element);
    const changed = known.get(element) !== name;
    known.set(element, name);
    if ((changed || fresh) && closest(element, listSelector)) {
      observer.unobserve(element); // so that it reports anew
      observer.observe(element);
    }
    if (changed && read(element, "event") === viewItem) track(viewItem, fieldsOf(element));
  });
}

/** Forgets which items this page has shown: it came back and is a new page view. */
export const forget = (): void => void (known = new WeakMap());

let scanning = 0;

export function watch(): void {
  scan();
  new MutationObserver(() => {
    scanning ||= setTimeout(() => {
      scanning = 0;
      scan();
    }, Scan.delay) as unknown as number;
  }).observe(document.documentElement, {
    childList: true,
    subtree: true,
    attributeFilter: ["data-millrace-item", "data-millrace-rec"],
  });
}
