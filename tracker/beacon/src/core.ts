import { type Config, config, configure } from "./config";
import { watchDataLayer } from "./ga4";
import { observe, pause, resume } from "./observe";
import { addressChanged, beginView } from "./page";
import { adopt, close, forget, open } from "./queue";
import { flush, online, schedule, send } from "./send";
import { lastEventId, release, track, whenDecided } from "./track";
import { anonymousId, type Consent, closeTab, decide, measured, openTab, personal, sessionId, setUser, userId } from "./visitor";

type Command = [string, ...unknown[]] | (() => void);

const api = {
  track,
  anonymousId,
  sessionId,
  lastEventId,
  flush,

  /** Says who the visitor is, in the shop's own id. Saying it on every page costs nothing. */
  identify(id: string | number): void {
    whenDecided(() => {
      if (!personal() || userId() == id) return;
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
    decide(given);
    if (!personal() || !measured()) forget();
    release();
    track("consent");
  },

  /** Runs commands: [name, ...arguments] or functions. An array of this name collects them before the script is here. */
  push(...commands: Command[]): void {
    for (const command of commands) {
      if (typeof command == "function") command();
      else (api as any)[command[0]](...command.slice(1));
    }
  },
};

export type Api = typeof api;

const enum Wait {
  /** The page that was left a moment ago needs its own moment to give up its lock and to get its receipt, in ms. */
  adopt = 2000,
}

function newView(again?: boolean): void {
  if (!addressChanged() && !again) return;
  if (OBSERVE) pause();
  beginView();
  if (OBSERVE) setTimeout(resume, 0, true, again);
}

function begin(again?: boolean): void {
  openTab();
  open();
  newView(again);
  setTimeout(adopt, Wait.adopt, schedule);
}

function leave(): void {
  if (OBSERVE) pause();
  send("leave", true);
}

const listeners = {
  online,
  popstate: () => newView(),
  // Never unload: it would keep the page out of the back-forward cache.
  pagehide() {
    leave();
    closeTab();
    close();
  },
  pageshow: (event: Event) => (event as PageTransitionEvent).persisted && begin(true),
  visibilitychange() {
    if (document.hidden) return leave();
    if (OBSERVE) resume();
    send("visible");
    adopt(schedule);
  },
};

function run(): void {
  if (OBSERVE) observe();
  begin();
  for (const name of ["pushState", "replaceState"] as const) {
    const original = history[name];
    history[name] = (...args) => {
      original.apply(history, args);
      newView();
    };
  }
  for (const [name, listener] of Object.entries(listeners)) addEventListener(name, listener);
  if (OBSERVE && config.ga4 != "off") watchDataLayer();
}

/** Starts the beacon on this page, once. A prerendered page is not visited until it is shown. */
export function start(given: Config): Api {
  const page = window as unknown as { millrace?: any };
  const early = page.millrace;
  if (early?.flush) return early;
  configure(given);
  const go = (): void => {
    run();
    page.millrace = api;
    api.push(...(early || []));
  };
  if ((document as any).prerendering) document.addEventListener("prerenderingchange", go);
  else go();
  return api;
}
