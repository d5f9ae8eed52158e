import { type Fields, track } from "./track";

// What pages declare:
//   data-millrace-item="ID"      an item; -name -category -brand -variant -price -quantity -index beside it describe it
//   data-millrace-event="TYPE"   view_item: this page shows the item; any other type: a click here is that event
//   data-millrace-rec="REC_ID"   a recommended list; -placement and -token beside it are those of the answer

export type Tagged = HTMLElement | SVGElement;

export const itemSelector = "[data-millrace-item]";

export const closest = (element: Element | null | undefined, selector: string): Tagged | null | undefined =>
  element?.closest<Tagged>(selector);

export const listOf = (element?: Element | null): Tagged | null | undefined => closest(element, "[data-millrace-rec]");

/** The fields of an event about an element: its item, and the recommendation that it is part of. */
export function fieldsOf(element: Tagged): Fields {
  const tagged = closest(element, itemSelector);
  if (!tagged) return {};
  const { millraceItem: item_id, millraceIndex, ...said } = tagged.dataset;
  const list = listOf(tagged);
  const index = millraceIndex ?? (list && [...list.querySelectorAll(itemSelector)].indexOf(tagged));
  const item: Fields = { item_id, index };
  for (const name in said) {
    const field = name.slice(8).toLowerCase(); // after "millrace"
    item[(/^(price|quantity)/.test(field) ? "" : "item_") + field] = said[name];
  }
  const rec = list?.dataset;
  return {
    items: [item],
    rec: rec && { rec_id: rec.millraceRec, placement: rec.millracePlacement, index: +index!, token: rec.millraceToken },
  };
}

/** Clicks: a declared event where there is one, else the choice of an item in a recommended list. */
export function onClick({ button, target }: MouseEvent): void {
  if (button > 1) return;
  const action = closest(target as Element, "[data-millrace-event]");
  const type = action?.dataset.millraceEvent;
  const chosen = closest(target as Element, itemSelector);
  if (type && type != "view_item") track(type, fieldsOf(action!));
  else if (listOf(chosen)) track("select_item", fieldsOf(chosen!));
}
