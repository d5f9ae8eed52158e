// Events must arrive: through navigation, closing, being offline, an outage, several tabs, no storage.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { call, launch, newContext, ofType, outage, ready, records, until, url, visit } from "./harness.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

const context = () => newContext(browser, { userAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36" });
const numbers = (n) => Array.from({ length: n }, (_, i) => i);
const trackMany = (tab, n) =>
  tab.evaluate((count) => {
    for (let i = 0; i < count; i++) window.millrace.track("marker", { props: { n: i } });
  }, n);
const markers = (n) => (events) => ofType(events, "marker").length >= n;

test("events recorded right before leaving arrive without a return visit", async () => {
  const tab = await visit(await context(), "shop.html", "leave");
  await tab.evaluate((to) => {
    for (let i = 0; i < 5; i++) window.millrace.track("marker", { props: { n: i } });
    location.href = to;
  }, url("plain.html", "leave"));
  await tab.waitForURL(/plain/);
  const events = await until("leave", markers(5));
  assert.deepEqual(ofType(events, "marker").map((e) => e.props.n), numbers(5));
});

test("events recorded right before the tab closes arrive", async () => {
  const tab = await visit(await context(), "shop.html", "close");
  await trackMany(tab, 5);
  await tab.close({ runBeforeUnload: false });
  await until("close", markers(5));
});

test("offline, then online: everything arrives by itself, in order, once", async () => {
  const shop = await context();
  const tab = await visit(shop, "shop.html", "offline");
  await call(tab, "flush");
  await shop.setOffline(true);
  await trackMany(tab, 20);
  await call(tab, "flush");
  assert.equal(ofType(await records("offline"), "marker").length, 0, "nothing can have arrived yet");
  await shop.setOffline(false);
  await until("offline", markers(20));
  assert.deepEqual(ofType(await records("offline"), "marker").map((e) => e.props.n), numbers(20));
});

test("offline and closed: the next page of the shop delivers", async () => {
  const shop = await context();
  const tab = await visit(shop, "shop.html", "later");
  await call(tab, "flush");
  await shop.setOffline(true);
  await trackMany(tab, 20);
  await tab.close();
  await shop.setOffline(false);
  await visit(shop, "item.html", "later");
  const events = await until("later", markers(20));
  assert.deepEqual(ofType(events, "marker").map((e) => e.props.n).sort((a, b) => a - b), numbers(20));
});

test("an outage of the collector loses nothing and is not hammered, also when the clock is set back in it", async () => {
  const tab = await visit(await context(), "shop.html", "outage");
  await call(tab, "flush");
  await outage(503);
  const refused = tab.waitForResponse((response) => response.status() === 503);
  await trackMany(tab, 10);
  await refused;
  await tab.evaluate(() => {
    const real = Date.now;
    Date.now = () => real() - 86_400_000;
  });
  await tab.waitForResponse((response) => response.status() === 503); // it tries again by itself
  const tried = await outage(0);
  assert.ok(tried <= 4, `${tried} requests`);
  await until("outage", markers(10));
  assert.deepEqual(ofType(await records("outage"), "marker").map((e) => e.props.n), numbers(10));
});

test("two tabs share visitor and session, and nothing is sent twice", async () => {
  const shop = await context();
  const first = await visit(shop, "shop.html", "tabs");
  // A tab opened by the page starts with a copy of its sessionStorage.
  const [second] = await Promise.all([shop.waitForEvent("page"), first.evaluate((to) => void window.open(to), url("item.html", "tabs"))]);
  await ready(second);
  await Promise.all([trackMany(first, 10), trackMany(second, 10)]);
  await until("tabs", markers(20));
  const events = await records("tabs");
  assert.equal(new Set(events.map((e) => e.event_id)).size, events.length, "an event came twice");
  assert.equal(new Set(events.map((e) => e.anonymous_id)).size, 1);
  assert.equal(new Set(events.map((e) => e.session_id)).size, 1);
  const tabs = [...new Set(events.map((e) => e.tab_id))];
  assert.equal(tabs.length, 2);
  for (const id of tabs) {
    const own = events.filter((e) => e.tab_id === id);
    assert.deepEqual(own.map((e) => e.seq), own.map((_, i) => i + 1), `gap or repeat in ${id}`);
  }
});

test("numbers go on over the pages of a tab", async () => {
  const tab = await visit(await context(), "shop.html", "seq");
  await tab.click("#inside-b");
  await tab.waitForURL(/item/);
  await ready(tab);
  await trackMany(tab, 1);
  const events = await until("seq", markers(1));
  assert.equal(new Set(events.map((e) => e.tab_id)).size, 1);
  assert.deepEqual(events.map((e) => e.seq), events.map((_, i) => i + 1));
});

test("with storage and cookies blocked it still sends, and throws nothing", async () => {
  const shop = await context();
  await shop.addInitScript(() => {
    for (const name of ["localStorage", "sessionStorage"]) {
      Object.defineProperty(window, name, { get() { throw new DOMException("blocked", "SecurityError"); } });
    }
    Object.defineProperty(Document.prototype, "cookie", { get() { throw new DOMException("blocked", "SecurityError"); }, set() { throw new DOMException("blocked", "SecurityError"); } });
  });
  const tab = await visit(shop, "shop.html", "blocked");
  await trackMany(tab, 3);
  const events = await until("blocked", markers(3));
  assert.equal(new Set(events.map((e) => e.anonymous_id)).size, 1);
  assert.deepEqual(tab.faults, []);
});

test("with a full storage it still sends", async () => {
  const shop = await context();
  await shop.addInitScript(() => {
    Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); };
  });
  const tab = await visit(shop, "shop.html", "full");
  await trackMany(tab, 3);
  await until("full", markers(3));
  assert.deepEqual(tab.faults, []);
});

test("delivered events are off the device", async () => {
  const tab = await visit(await context(), "shop.html", "clean");
  await trackMany(tab, 3);
  await call(tab, "flush");
  const kept = await tab.evaluate(() => Object.keys(localStorage).filter((name) => name.startsWith("mr.q.")));
  assert.deepEqual(kept, []);
  await until("clean", markers(3));
});

test("a wrong key is said once and not retried", async () => {
  const shop = await context();
  let requests = 0;
  shop.on("request", (request) => request.url().includes("/v1/events") && requests++);
  const tab = await visit(shop, "wrong-key.html", "wrong");
  await trackMany(tab, 3);
  await call(tab, "flush");
  await call(tab, "flush");
  assert.equal(requests, 1);
});
