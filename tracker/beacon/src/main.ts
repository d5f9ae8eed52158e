import { key } from "./config";
import { forget, onClick, pause, reportShown, scan, watch } from "./dom";
import { onRoute, view } from "./page";
import { adopt, clear, close, open, unstore } from "./queue";
import { flush, retryNow, schedule, send } from "./send";
import { lastEventId, release, track, whenDecided } from "./track";
import {
  anonymousId,
  type Consent,
  closeTab,
  measured,
  openTab,
  personal,
  sessionId,
  setConsent,
  setUser,
  userId,
} from "./visitor";

type Command = [string, ...unknown[]] | (() => void);

const api = {
  track,
  anonymousId,
  sessionId: (): string => sessionId(),
  lastEventId,
  flush,

  /** Says who the visitor is, in the shop's own id. Saying it on every page costs nothing. */
  identify(id: string | number): void {
    whenDecided(() => {
      if (!personal() || userId() === "" + id) return;
      setUser("" + id);
      track("identify");
    });
  },

  logout(): void {
    if (!userId()) return;
    track("logout");
    setUser("");
  },

  /** The visitor's decision; what is not named stays as it was. */
  consent(given: Consent): void {
    setConsent(given);
    if (!measured()) clear();
    else if (!personal()) unstore();
    release();
    track("consent");
  },

  /** Runs commands: [name, ...arguments] or functions. An array of this name collects them before the script is here. */
  push(...commands: Command[]): void {
    for (const command of commands) {
      if (typeof command === "function") command();
      else (api as any)[command[0]](...command.slice(1));
    }
  },
};

const newView = (again?: boolean): void =>
  view(() => {
    pause(true);
    if (again) forget();
    setTimeout(scan, 0, true);
  }, again);

function start(): void {
  openTab();
  open();
  newView();
  onRoute(() => newView());
  watch();
  for (const name of ["click", "auxclick"] as const) {
    addEventListener(name, onClick, { capture: true, passive: true });
  }
  addEventListener("online", retryNow);
  // Never unload: it would keep the page out of the back-forward cache.
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") {
      pause();
      send(true);
    } else {
      scan(true);
      retryNow();
      adopt(schedule);
    }
  });
  addEventListener("pagehide", () => {
    reportShown();
    send(true);
    closeTab();
    close();
  });
  addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    openTab();
    open();
    newView(true);
  });
  // The page that was left a moment ago needs its own moment to give up its lock.
  setTimeout(adopt, 1e3, schedule);
  const global = window as unknown as { millrace?: Command[] };
  const early = global.millrace;
  global.millrace = api as unknown as Command[];
  api.push(...(early || []));
}

if (!key) console.error("millrace: the script element needs data-key");
else if (!(window as any).millrace?.track) {
  // A prerendered page is not visited until it is shown.
  if ((document as any).prerendering) document.addEventListener("prerenderingchange", start, { once: true });
  else start();
}
