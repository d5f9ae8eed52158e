import { track } from "./track";

/** One entry of dataLayer: what gtag() pushes, which are its arguments, or an object of Tag Manager. */
function read(entry: any): void {
  const [kind, name, given] = entry[0] ? entry : ["event", entry.event, { ...entry, ...entry.ecommerce }];
  if (kind != "event") return;
  const { items, value, currency, transaction_id, search_term } = given || {};
  if (items || search_term || transaction_id)
    track(search_term ? "search" : name, { items, value, currency, transaction_id, search_term });
}

/** Reads what a shop tells GA4: events about items, orders and searches. They have the names and fields of ours. */
export function watchDataLayer(): void {
  const layer: any[] = ((window as any).dataLayer ||= []);
  const { push } = layer;
  layer.forEach(read);
  layer.push = (...entries) => {
    entries.forEach(read);
    return push.apply(layer, entries);
  };
}
