import { tell, tick } from "./dwell";
import { fieldsOf, itemSelector, listOf, onClick, type Tagged } from "./items";
import { type Fields, track } from "./track";

const enum Impression {
  share = 0.5, // of the element in view
  time = 1000, // ms
}

/** Changes of the page that come together are looked at together, after so many milliseconds. */
const enum Scan {
  delay = 100,
}

/** Items whose impression in this page view is counted, and the events that are to tell it, by list. */
let seen = new Set<string>();
let shown: Record<string, Fields> = {};
const timers = new Map<Element, any>();
let observer: IntersectionObserver;
let scanning: any;

/** The item that this page says to show, and its fields. */
let viewed: string | undefined;
let subject: Fields[] | undefined;

/** Tells items in lists apart; a framework may reuse an element for another item. */
const nameOf = (element: Tagged): string => listOf(element)?.dataset.millraceRec + " " + element.dataset.millraceItem;

function show(element: Tagged, name: string): void {
  observer.unobserve(element);
  if (nameOf(element) != name) return scan(); // it is another item by now
  seen.add(name);
  const { items, rec } = fieldsOf(element);
  (shown[rec.rec_id] ||= { items: [], rec: { ...rec, index: undefined } }).items.push(items[0]);
  setTimeout(report, Scan.delay);
}

/** Sends the impressions that are counted, one event a list. */
function report(): void {
  const lists = shown;
  shown = {};
  for (const id in lists) track("view_item_list", lists[id]);
}

/** Nobody is looking any longer: the page is hidden or left, or another view of it begins. It may be called twice. */
export function pause(): void {
  report();
  observer.disconnect();
  timers.forEach(clearTimeout);
  tell(subject);
}

/** Looks for items. */
function scan(): void {
  document.querySelectorAll<Tagged>(itemSelector).forEach((element) => {
    if (listOf(element) && !seen.has(nameOf(element))) observer.observe(element);
  });
  const element = document.querySelector<Tagged>("[data-millrace-event=view_item]");
  const name = element?.dataset.millraceItem;
  if (name == viewed) return;
  viewed = name;
  subject = undefined;
  if (!element) return;
  const fields = fieldsOf(element);
  subject = fields.items;
  track("view_item", fields);
}

/** The page is looked at again: for a new view of it nothing has been seen, and it shows its item again where it came back. */
export function resume(newView?: boolean, again?: boolean): void {
  if (newView) seen = new Set();
  if (again) viewed = undefined;
  tick();
  scan();
}

export function observe(): void {
  observer = new IntersectionObserver(
    (entries) => {
      for (const { target, intersectionRatio } of entries) {
        clearTimeout(timers.get(target));
        if (intersectionRatio >= Impression.share)
          timers.set(target, setTimeout(show, Impression.time, target, nameOf(target as Tagged)));
      }
    },
    { threshold: Impression.share },
  );
  new MutationObserver(() => {
    scanning ||= setTimeout(() => {
      scanning = 0;
      scan();
    }, Scan.delay);
  }).observe(document, {
    childList: true,
    subtree: true,
    attributeFilter: ["data-millrace-item", "data-millrace-rec", "data-millrace-event"],
  });
  for (const name of ["click", "auxclick"] as const) addEventListener(name, onClick, { capture: true, passive: true });
  for (const name of ["focus", "blur"]) addEventListener(name, tick);
}
