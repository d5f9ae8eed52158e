// What is recorded: page views, item views, clicks, impressions, carts, identity, consent.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { call, launch, newContext, ofType, ready, records, until, visit } from "./harness.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

const context = (options) => newContext(browser, { viewport: { width: 800, height: 600 }, ...options });

test("a visit: page view, click in a recommended list, item view, cart", async () => {
  const tab = await visit(await context(), "shop.html", "visit");
  await tab.click("#inside-b");
  await tab.waitForURL(/item/);
  await ready(tab);
  await tab.click("#cart");
  const events = await until("visit", (all) => ofType(all, "add_to_cart").length === 1);

  const views = ofType(events, "page_view");
  assert.deepEqual(views.map((e) => e.page.title), ["Shop", "Item B"]);
  assert.match(views[1].page.referrer, /shop\.html/);
  const [click] = ofType(events, "select_item");
  assert.deepEqual(click.items, [{ item_id: "b", index: 1, price: 9.5, item_category: "lamps" }]);
  assert.deepEqual(click.rec, { rec_id: "rec-1", placement: "home", index: 1 });
  assert.equal(click.page_view_id, views[0].page_view_id);
  const [item] = ofType(events, "view_item");
  assert.deepEqual(item.items, [{ item_id: "b", price: 9.5, item_name: "Lamp B", item_category: "lamps" }]);
  assert.equal(item.page_view_id, views[1].page_view_id);
  assert.notEqual(views[0].page_view_id, views[1].page_view_id);
  assert.deepEqual(ofType(events, "add_to_cart")[0].items, [{ item_id: "b", price: 9.5, quantity: 2 }]);
  assert.equal(ofType(events, "view_item").length, 1);
  assert.equal(new Set(events.map((e) => e.anonymous_id + e.session_id)).size, 1);
  for (const e of events) assert.match(e.event_id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.deepEqual(tab.faults, [], "the page's policy or its console complains");
});

test("a click on an item outside of recommended lists is no select_item", async () => {
  const tab = await visit(await context(), "shop.html", "outside");
  await tab.click("#unlisted");
  await call(tab, "track", "marker");
  const events = await until("outside", (all) => ofType(all, "marker").length === 1);
  assert.equal(ofType(events, "select_item").length, 0);
  assert.equal(ofType(events, "page_view").length, 1, "a fragment alone is no page view");
});

test("an impression is counted once a page view, after a second in view", async () => {
  const tab = await visit(await context(), "shop.html", "impressions");
  const top = (all) => ofType(all, "view_item_list").filter((e) => e.rec.rec_id === "rec-1");
  const low = (all) => ofType(all, "view_item_list").filter((e) => e.rec.rec_id === "rec-2");
  let events = await until("impressions", (all) => top(all).length === 1);
  assert.deepEqual(top(events)[0].items.map((i) => [i.item_id, i.index]), [["a", 0], ["b", 1], ["c", 2]]);
  assert.deepEqual(top(events)[0].rec, { rec_id: "rec-1", placement: "home" });
  assert.equal(low(events).length, 0, "what is below the fold was not seen");
  // By the browser's clock: occurred_at counts the network time of its batch as skew, which differs from batch to batch.
  const said = (e) => Date.parse(e.client_occurred_at ?? e.occurred_at);
  assert.ok(said(top(events)[0]) - said(ofType(events, "page_view")[0]) >= 1000);

  await tab.locator("#low").scrollIntoViewIfNeeded();
  events = await until("impressions", (all) => low(all).length === 1);
  assert.deepEqual(low(events)[0].items.map((i) => i.item_id), ["l1", "l2"]);

  // Back at the top, a new item needs its second; by then a repeated impression of the old ones would have come too.
  await tab.evaluate(() => {
    scrollTo(0, 0);
    const added = Object.assign(document.createElement("a"), { textContent: "N" });
    added.dataset.millraceItem = "new";
    document.querySelector("#top").prepend(added);
  });
  events = await until("impressions", (all) => top(all).length === 2);
  assert.deepEqual(top(events)[1].items.map((i) => i.item_id), ["new"]);
});

test("a route change is one page view, and counts impressions anew", async () => {
  const tab = await visit(await context(), "shop.html", "route");
  const base = tab.url();
  await tab.evaluate(() => {
    history.pushState({}, "", location.href + "&page=2");
    history.replaceState({}, "", location.href); // the same address
    history.pushState({}, "", location.href + "#part"); // only another part of it
    history.replaceState({}, "", location.href.split("#")[0] + "&sort=price");
  });
  await tab.goBack();
  await tab.goBack();
  await tab.waitForURL(base);
  const events = await until("route", (all) => ofType(all, "page_view").length >= 5);
  const paths = ofType(events, "page_view").map((e) => e.page.url.slice(base.length));
  assert.deepEqual(paths, ["", "&page=2", "&page=2&sort=price", "&page=2", ""]);
  assert.equal(ofType(events, "page_view")[1].page.referrer, base);
  await until("route", (all) => ofType(all, "view_item_list").length >= 1);
});

test("login, another user, logout", async () => {
  const tab = await visit(await context(), "shop.html", "login");
  await call(tab, "identify", 42);
  await call(tab, "identify", "42"); // again, as on every page
  const before = await call(tab, "sessionId");
  await call(tab, "track", "marker");
  await call(tab, "logout");
  const afterwards = await call(tab, "sessionId");
  const last = await call(tab, "track", "marker");
  assert.equal(await call(tab, "lastEventId"), last);
  const events = await until("login", (all) => ofType(all, "marker").length === 2);
  const said = events.filter((e) => e.type !== "view_item_list"); // an impression may come in between
  assert.deepEqual(said.map((e) => [e.type, e.user_id]), [
    ["page_view", undefined], ["identify", "42"], ["marker", "42"], ["logout", "42"], ["marker", undefined],
  ]);
  assert.notEqual(before, afterwards, "the next visitor of this browser has a session of his own");
  assert.equal(new Set(events.map((e) => e.anonymous_id)).size, 1);
  assert.equal(await call(tab, "anonymousId"), events[0].anonymous_id);
});

test("a session ends after 30 idle minutes", async () => {
  const tab = await visit(await context(), "shop.html", "session");
  await call(tab, "flush");
  const sessions = await tab.evaluate(() => {
    const real = Date.now;
    const ids = [];
    for (const minutes of [0, 29, 58, 88.5]) {
      Date.now = () => real() + minutes * 60_000;
      ids.push(window.millrace.sessionId());
    }
    Date.now = real;
    return ids;
  });
  assert.equal(sessions[1], sessions[0]);
  assert.equal(sessions[2], sessions[0]);
  assert.notEqual(sessions[3], sessions[0]);
});

test("commands that came before the script are run", async () => {
  const shop = await context();
  await shop.addInitScript(() => {
    window.millrace = [["track", "marker", { items: ["x", { item_id: 7, price: "1.50" }] }], () => (window.called = window.millrace.anonymousId())];
  });
  const tab = await visit(shop, "shop.html", "early");
  const events = await until("early", (all) => ofType(all, "marker").length === 1);
  assert.deepEqual(ofType(events, "marker")[0].items, [{ item_id: "x" }, { item_id: "7", price: 1.5 }]);
  assert.equal(await tab.evaluate(() => window.called), events[0].anonymous_id);
});

test("fields that are no JSON cost the shop's own code nothing", async () => {
  const tab = await visit(await context(), "shop.html", "odd");
  await tab.evaluate(() => {
    const circle = {};
    circle.self = circle;
    window.millrace.track("marker", { props: circle });
    window.millrace.track("marker", { items: 7 });
    window.millrace.track("marker", { props: { good: true } });
  });
  const events = await until("odd", (all) => ofType(all, "marker").length === 1);
  assert.deepEqual(ofType(events, "marker")[0].props, { good: true });
});

test("where consent is required nothing is sent or stored before it, and everything after", async () => {
  const shop = await context();
  let requests = 0;
  shop.on("request", (request) => request.url().includes("/v1/events") && requests++);
  const tab = await visit(shop, "consent.html", "consent");
  await call(tab, "track", "marker");
  await call(tab, "identify", "u-1");
  await call(tab, "flush");
  assert.equal(requests, 0);
  assert.equal(await tab.evaluate(() => localStorage.length + sessionStorage.length + document.cookie.length), 0);
  await call(tab, "consent", { personalization: true, analytics: true });
  const events = await until("consent", (all) => ofType(all, "consent").length === 1);
  assert.deepEqual(events.map((e) => [e.type, e.user_id]), [
    ["page_view", undefined], ["marker", undefined], ["identify", "u-1"], ["consent", "u-1"],
  ]);
  assert.ok(events.every((e) => e.anonymous_id && e.consent.personalization));
});

test("without personalization events carry no ids and the device keeps none", async () => {
  const tab = await visit(await context(), "consent.html", "impersonal");
  await call(tab, "consent", { personalization: false });
  await call(tab, "track", "view_item", { item_id: "a" });
  await call(tab, "flush");
  const events = await until("impersonal", (all) => ofType(all, "view_item").length === 1);
  for (const e of events) {
    assert.deepEqual([e.anonymous_id, e.session_id, e.user_id, e.tab_id], [undefined, undefined, undefined, undefined]);
    assert.equal(e.consent.personalization, false);
  }
  assert.deepEqual(await tab.evaluate(() => Object.keys(localStorage)), ["mr.c"], "only the choice itself");
});

test("Global Privacy Control is a refusal of personalization", async () => {
  const shop = await context();
  await shop.addInitScript(() => Object.defineProperty(navigator, "globalPrivacyControl", { value: true }));
  await visit(shop, "shop.html", "gpc");
  const [event] = await until("gpc", (all) => all.length >= 1);
  assert.equal(event.consent.personalization, false);
  assert.equal(event.anonymous_id, undefined);
});

test("without analytics nothing is sent at all, also on the next page", async () => {
  const shop = await context();
  const tab = await visit(shop, "consent.html", "silent");
  await call(tab, "consent", { analytics: false });
  await call(tab, "track", "marker");
  const next = await visit(shop, "shop.html", "silent");
  await call(next, "track", "marker");
  await call(next, "flush");
  assert.deepEqual(await records("silent"), []);
});

test("a page from the back-forward cache is a new page view and goes on counting", async () => {
  const tab = await visit(await context(), "shop.html", "back");
  await call(tab, "flush");
  // The browser decides what it caches; the event that tells the page is the same.
  await tab.evaluate(() => {
    dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true }));
    dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
    window.millrace.track("marker");
  });
  const events = await until("back", (all) => ofType(all, "marker").length === 1);
  assert.equal(ofType(events, "page_view").length, 2);
  assert.deepEqual(events.map((e) => e.seq), events.map((_, i) => i + 1));
  assert.equal(new Set(events.map((e) => e.tab_id)).size, 1);
});
