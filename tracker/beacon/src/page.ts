import { config } from "./config";
import { uuid } from "./ids";
import { track } from "./track";

/** The page view that is going on. */
export let pageId: string;
export let pageUrl: string;

const address = (): string => (config.hash != null ? location.href : location.href.split("#")[0]);

/** Whether the page went elsewhere since its view began. */
export const addressChanged = (): boolean => address() != pageUrl;

export function beginView(): void {
  const referrer = pageUrl || document.referrer;
  pageUrl = address();
  pageId = uuid();
  track("page_view", { page: { url: pageUrl, referrer, title: document.title } });
}
