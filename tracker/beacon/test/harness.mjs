// What every browser test shares: one Chromium, and for each scenario an address of the shop with a visitor of its own.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const { MILLRACE_TEST_URL: doors, MILLRACE_NODE_MODULES: modules, MILLRACE_CHROMIUM, MILLRACE_TEST_GOAL: only } = process.env;
const folder = [modules, join(modules, "node_modules")].find((dir) => existsSync(join(dir, "playwright-core")));
const { chromium } = createRequire(join(folder, "playwright-core", "package.json"))("playwright-core");

/** Whether scenarios that take a minute run in full. */
export const long = Boolean(process.env.MILLRACE_TEST_LONG);

const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"];

// How long any step may take, in ms. Steps end with what they wait for, so only a failure takes all of it: it is what a
// machine may need that has a hundred other things to do.
const limit = 60_000;

let browser;
export const launch = async () => {
  browser = await chromium.launch({ executablePath: MILLRACE_CHROMIUM || "/usr/bin/chromium", args: flags, timeout: limit });
};
export const quit = () => browser.close();

const userAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36";

/** Registers a scenario of a goal (0: of none); where one goal alone is asked for, others are not run. */
export function scenario(goal, name, run) {
  if (only && +only !== goal) return;
  test(goal ? `goal ${goal}: ${name}` : name, () => run());
}

/** An address of the shop of its own, and a visitor with a fresh profile. options.hold is ms that connections take. */
export async function openShop({ hold = 0, ...options } = {}) {
  const origin = await (await fetch(`${doors}/lanes?hold=${hold}`, { method: "POST" })).json();
  const context = await browser.newContext({ userAgent, viewport: { width: 800, height: 600 }, ...options });
  context.setDefaultTimeout(limit);
  return new Shop(origin, context);
}

class Shop {
  constructor(origin, context) {
    Object.assign(this, { origin, context });
  }

  url(page) {
    return `${this.origin}/pages/${page}`;
  }

  /** Opens a page and waits for the script. Whatever the page or its policy complains about is collected in tab.faults. */
  async visit(page) {
    const tab = await this.context.newPage();
    watch(tab);
    await tab.goto(this.url(page));
    await ready(tab);
    return tab;
  }

  /** Every record of the shop's pages in Kafka, oldest first within a tab, repeats included. */
  async records() {
    const all = await (await fetch(`${doors}/events?lane=${this.origin}`)).json();
    return all.sort((a, b) => (a.seq ?? 0) - (b.seq ?? 0));
  }

  /** Waits until the events fulfil a condition, and returns them without repeats. */
  async until(condition) {
    for (const end = Date.now() + limit; ;) {
      const events = distinct(await this.records());
      if (condition(events)) return events;
      if (Date.now() > end) {
        throw new Error(`gave up with ${JSON.stringify(events.map((e) => [e.type, e.seq, e.items?.map((i) => i.item_id)]))}`);
      }
      await new Promise((next) => setTimeout(next, 50));
    }
  }

  /** Waits for n markers, and checks that none came twice and none is missing. */
  async markers(n) {
    await this.until((events) => ofType(events, "marker").length >= n);
    const got = ofType(await this.records(), "marker").map((e) => e.props.n).sort((a, b) => a - b);
    assert.deepEqual(got, numbers(n));
  }

  /** Sets what the beacon's requests meet, {} for nothing; returns the requests so far. */
  async fault(fault) {
    return (await fetch(`${doors}/lane?lane=${this.origin}`, { method: "POST", body: JSON.stringify(fault) })).json();
  }

  /** The requests of the beacon so far. */
  async hits() {
    return (await fetch(`${doors}/lane?lane=${this.origin}`)).json();
  }

  /** Waits until so many of them have met a fault. */
  async met(n) {
    for (const end = Date.now() + limit; ;) {
      const hits = (await this.hits()).filter((each) => each.met);
      if (hits.length >= n) return hits;
      assert.ok(Date.now() < end, `only ${hits.length} requests`);
      await new Promise((next) => setTimeout(next, 50));
    }
  }
}

export function watch(tab) {
  tab.faults = [];
  tab.on("pageerror", (error) => tab.faults.push(String(error)));
  tab.on("console", (message) => message.type() === "error" && tab.faults.push(message.text()));
}

/** Opens a page whose time passes only by tab.clock.runFor. */
export async function visitFrozen(shop, page) {
  const tab = await shop.context.newPage();
  watch(tab);
  const time = new Date("2026-01-01T12:00:00Z");
  await tab.clock.install({ time });
  await tab.clock.pauseAt(new Date(+time + 3_600_000));
  await tab.goto(shop.url(page));
  await ready(tab);
  return tab;
}

/** Waits for the script, also where the page's time stands still. */
export async function ready(tab) {
  for (const end = Date.now() + limit; !(await tab.evaluate(() => Boolean(window.millrace?.flush)));) {
    assert.ok(Date.now() < end, "no script");
    await new Promise((next) => setTimeout(next, 20));
  }
}

/** Calls the script in the page. */
export const call = (tab, method, ...args) =>
  tab.evaluate(([name, given]) => window.millrace[name](...given), [method, args]);

/** Records markers with the numbers from first on. */
export const mark = (tab, n, first = 0, pad = 0) =>
  tab.evaluate(([count, from, length]) => {
    for (let i = from; i < from + count; i++) window.millrace.track("marker", { props: { n: i, pad: "x".repeat(length) } });
  }, [n, first, pad]);

/** Lets the page believe that it is hidden or shown; headless tabs are always shown. */
export const setHidden = (tab, hidden) =>
  tab.evaluate((value) => {
    Object.defineProperty(document, "hidden", { value, configurable: true });
    Object.defineProperty(document, "visibilityState", { value: value ? "hidden" : "visible", configurable: true });
    document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
  }, hidden);

export const numbers = (n) => Array.from({ length: n }, (_, i) => i);
export const distinct = (events) => [...new Map(events.map((event) => [event.event_id, event])).values()];
export const ofType = (events, type) => events.filter((event) => event.type === type);
