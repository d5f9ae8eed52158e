import { get, put } from "./store";
import type { Fields } from "./track";
import { personal } from "./visitor";

const enum Limit {
  entries = 500,
  age = 86400000, // 24 h in ms
}

/** Which recommendation led to an item: item, recommendation, time. */
type Click = [string, Fields, number];

/** A click on a recommended item is remembered, and what happens to the item later says which recommendation it was. */
export function attribute(type: string, fields: Fields): void {
  const { items, rec } = fields;
  if (!personal() || !items) return;
  const now = Date.now();
  const clicks: Click[] = JSON.parse(get("mr.a") || "[]");
  if (type == "select_item" && rec) {
    // The newest is the first.
    put("mr.a", JSON.stringify([[items[0].item_id, rec, now], ...clicks].slice(0, Limit.entries)));
  } else if (!rec)
    items.forEach((item: Fields, i: number) => {
      const click = clicks.find((each) => each[0] == item.item_id && now - each[2] < Limit.age);
      if (!click) return;
      // An event names one recommendation; those of an order's other items go beside it.
      if (fields.rec) fields.props = { ...fields.props, ["rec_" + i]: Object.values(click[1]).join(" ") };
      else fields.rec = click[1];
    });
}
