import { hashRoutes } from "./config";
import { uuid } from "./ids";
import { page, track } from "./track";

const address = (): string => (hashRoutes ? location.href : location.href.split("#")[0]);

/** Begins a page view, if the address really changed or the page came back from the back-forward cache. */
export function view(changed: () => void, again?: boolean): void {
  const url = address();
  if (url === page.url && !again) return;
  const referrer = page.url || document.referrer;
  page.url = url;
  page.id = uuid();
  changed();
  track("page_view", { page: { url, referrer, title: document.title } });
}

/** Calls then after every change of the address that the page makes without loading another one. */
export function onRoute(then: () => void): void {
  for (const name of ["pushState", "replaceState"] as const) {
    const original = history[name];
    history[name] = function (this: History, ...args: Parameters<History["pushState"]>) {
      original.apply(this, args);
      then();
    };
  }
  addEventListener("popstate", then);
}
