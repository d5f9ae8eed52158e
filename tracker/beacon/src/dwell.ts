import { type Fields, track } from "./track";

// How long the page was visible, and of that also focused, since it was last told.
let visible = 0;
let focused = 0;
let last = 0;
let shown: boolean;
let active: boolean;

/** Adds the time since the last change to what it counts for. */
export function tick(): void {
  const time = -last + (last = performance.now());
  if (shown) visible += time;
  if (active) focused += time;
  shown = !document.hidden;
  active = shown && document.hasFocus();
}

/** Tells the time since it was last told, with what this page view is about. */
export function tell(items?: Fields[]): void {
  tick();
  const visible_ms = Math.round(visible);
  if (visible_ms) track("engage", { items, engagement: { visible_ms, focused_ms: Math.round(focused) } });
  visible = focused = 0;
}
