// A new visitor of the demo shop, in a real Chromium: opens three items of one category, likes and buys while the program
// is killed and started again, and tells on stdout what was shown. It speaks with the Go test that drives it: a line
// "KILL" or "START" asks for it, and any line on stdin says that it was done. The last line is the report as JSON.
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

const { MILLRACE_TEST_URL: shop, MILLRACE_NODE_MODULES: modules, MILLRACE_CHROMIUM, MILLRACE_SCREENSHOTS: pictures } = process.env;
const { chromium } = createRequire(join(modules, "playwright-core", "package.json"))("playwright-core");
const collector = /\/v1\/events/;
const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"];

// How long any step may take, in ms: all of them end with what they wait for, so only a failure takes it. It is what a
// machine may need that has a hundred other things to do.
const limit = 180_000;

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const request = async (what) => {
  console.log(what);
  await answers.next();
};

const browser = await chromium.launch({ executablePath: MILLRACE_CHROMIUM || "/usr/bin/chromium", args: flags, timeout: limit });
// A headless browser says so in its user agent and counts as a bot, whose clicks land but move no list.
const userAgent = (await (await browser.newPage()).evaluate(() => navigator.userAgent)).replace("Headless", "");
const context = await browser.newContext({ userAgent, viewport: { width: 1280, height: 1400 } });
context.setDefaultTimeout(limit);
const tab = await context.newPage();
const faults = [];
tab.on("pageerror", (error) => faults.push(String(error)));

/** Waits until the status of a list begins with a word, or says that there is none. */
const says = async (placement, word) => {
  const status = await tab.waitForFunction(([name, begin]) => {
    const text = document.querySelector(`[data-list="${name}"] [data-status]`)?.textContent ?? "";
    return (text.startsWith(begin) || text.startsWith("no list")) && text;
  }, [placement, word]);
  const text = await status.jsonValue();
  if (!text.startsWith(word)) throw new Error(`the list of ${placement} says: ${text}`);
};

/** Waits until a list was drawn after the newest event, and returns its cards. */
const list = async (placement) => {
  await says(placement, "followed");
  return tab.$$eval(`[data-list="${placement}"] [data-millrace-item]`, (cards) => cards.map((card) => ({
    id: card.dataset.millraceItem, category: card.dataset.millraceCategory, why: card.querySelector(".why")?.textContent,
  })));
};

/** Opens a page whose events reach the collector only when its list was drawn without them. */
const openLate = async (link, placement) => {
  let release;
  const drawn = new Promise((resolve) => (release = resolve));
  await tab.route(collector, async (route) => {
    await drawn;
    await route.continue();
  });
  await tab.goto(link);
  await says(placement, "still catching up");
  release();
  await says(placement, "followed");
  await tab.unroute(collector);
};

const shot = async (name) => pictures && tab.screenshot({ path: join(pictures, name + ".png"), fullPage: true });

await tab.goto(shop);
const before = await list("home");
await shot("1-home-before");

// The category that the first list shows least, so that moving up is the visitor's doing.
const shelves = await tab.$$eval(".shelf", (all) => all.map((shelf) => ({
  category: shelf.querySelector("[data-millrace-item]").dataset.millraceCategory,
  links: [...shelf.querySelectorAll("a[href*='item/']")].map((a) => a.href),
})));
const count = (cards, category) => cards.filter((card) => card.category === category).length;
shelves.sort((a, b) => count(before, a.category) - count(before, b.category));
const { category, links } = shelves[0];

const itemLists = [];
for (const [i, link] of [...new Set(links)].slice(0, 3).entries()) {
  if (i === 2) await openLate(link, "item");
  else await tab.goto(link);
  itemLists.push(await list("item"));
}
await shot("2-item");
await tab.goto(shop);
const after = await list("home");
await shot("3-home-after");

// Two acts while the program is away: they wait in the browser.
await tab.goto(links[0]);
await list("item");
await request("KILL");
await tab.click("[data-add]");
await tab.click("[data-like]");
await request("START");
await tab.goto(new URL("cart", shop).href);
await shot("4-cart");
await tab.waitForFunction(() => Object.keys(localStorage).every((key) => !key.startsWith("mr.q.")));
const visitor = await tab.evaluate(() => ({ id: millrace.anonymousId(), last: millrace.lastEventId() }));
await tab.evaluate(() => millrace.flush());
await browser.close();
console.log(JSON.stringify({ before, after, category, itemLists, visitor, faults }));
process.exit(0);
