// What every browser test shares: one Chromium, pages of the test server, and the events that the collector wrote to Kafka.
import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { join } from "node:path";

const { MILLRACE_TEST_URL: server, MILLRACE_NODE_MODULES: modules, MILLRACE_CHROMIUM } = process.env;
const folder = [modules, join(modules, "node_modules")].find((dir) => existsSync(join(dir, "playwright-core")));
const { chromium } = createRequire(join(folder, "playwright-core", "package.json"))("playwright-core");

const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"];

// How long any step may take, in ms. Steps end with what they wait for, so only a failure takes all of it: it is what a
// machine may need that has a hundred other things to do.
const limit = 180_000;

export const launch = () => chromium.launch({ executablePath: MILLRACE_CHROMIUM || "/usr/bin/chromium", args: flags, timeout: limit });

/** A browser profile of its own, as of a visitor. */
export async function newContext(browser, options) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(limit);
  return context;
}

/** The address of a page; its test's name goes with it and comes back in the events. */
export const url = (page, name) => `${server}/pages/${page}?t=${name}`;

/** Opens a page and waits for the script. Whatever the page or its policy complains about is collected in page.faults. */
export async function visit(context, page, name) {
  const tab = await context.newPage();
  tab.faults = [];
  tab.on("pageerror", (error) => tab.faults.push(String(error)));
  tab.on("console", (message) => message.type() === "error" && tab.faults.push(message.text()));
  await tab.goto(url(page, name));
  await ready(tab);
  return tab;
}

export const ready = (tab) => tab.waitForFunction(() => window.millrace?.track);

/** Calls the script in the page. */
export const call = (tab, method, ...args) =>
  tab.evaluate(([name, given]) => window.millrace[name](...given), [method, args]);

/** Every record of a test's pages in Kafka, oldest first within a tab, repeats included. */
export async function records(name) {
  const all = await (await fetch(`${server}/test/events`)).json();
  return all
    .filter((event) => new URL(event.page.url).searchParams.get("t") === name)
    .sort((a, b) => (a.seq ?? 0) - (b.seq ?? 0));
}

/** The same without repeats: what the stream makes of it. */
export const distinct = (events) => [...new Map(events.map((event) => [event.event_id, event])).values()];

/** Waits until the events of a test fulfil a condition, and returns them without repeats. */
export async function until(name, condition) {
  for (const end = Date.now() + limit; ;) {
    const events = distinct(await records(name));
    if (condition(events)) return events;
    if (Date.now() > end) {
      throw new Error(`${name}: gave up with ${JSON.stringify(events.map((e) => [e.type, e.seq, e.items?.map((i) => i.item_id)]))}`);
    }
    await new Promise((next) => setTimeout(next, 50));
  }
}

/** Lets the collector's address answer with a status until it is called with 0; returns how many requests met it before. */
export const outage = async (status) => (await fetch(`${server}/test/outage?status=${status}`, { method: "POST" })).json();

export const ofType = (events, type) => events.filter((event) => event.type === type);
