// What is recorded: page views, item views, clicks, impressions, dwell, carts, identity.
import assert from "node:assert/strict";
import { call, mark, ofType, openShop, ready, scenario, setHidden, visitFrozen } from "./harness.mjs";

export default function () {
  scenario(0, "a visit: page view, click in a recommended list, item view, cart", async () => {
    const shop = await openShop();
    const tab = await shop.visit("shop.html");
    await tab.click("#inside-b");
    await tab.waitForURL(/item/);
    await ready(tab);
    await tab.click("#cart");
    const events = await shop.until((all) => ofType(all, "add_to_cart").length === 1);

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

  scenario(0, "a click on an item outside of recommended lists is no select_item", async () => {
    const shop = await openShop();
    const tab = await shop.visit("shop.html");
    await tab.click("#unlisted");
    await call(tab, "track", "marker");
    const events = await shop.until((all) => ofType(all, "marker").length === 1);
    assert.equal(ofType(events, "select_item").length, 0);
    assert.equal(ofType(events, "page_view").length, 1, "a fragment alone is no page view");
  });

  scenario(9, "an impression is counted once a page view, after a second in view", async () => {
    const shop = await openShop();
    const tab = await shop.visit("shop.html");
    const top = (all) => ofType(all, "view_item_list").filter((e) => e.rec.rec_id === "rec-1");
    const low = (all) => ofType(all, "view_item_list").filter((e) => e.rec.rec_id === "rec-2");
    let events = await shop.until((all) => top(all).length === 1);
    assert.deepEqual(top(events)[0].items.map((i) => [i.item_id, i.index]), [["a", 0], ["b", 1], ["c", 2]]);
    assert.deepEqual(top(events)[0].rec, { rec_id: "rec-1", placement: "home" });
    assert.equal(low(events).length, 0, "what is below the fold was not seen");
    // By the browser's clock: occurred_at counts the network time of its batch as skew, which differs from batch to batch.
    const said = (e) => Date.parse(e.client_occurred_at ?? e.occurred_at);
    assert.ok(said(top(events)[0]) - said(ofType(events, "page_view")[0]) >= 1000);

    await tab.locator("#low").scrollIntoViewIfNeeded();
    events = await shop.until((all) => low(all).length === 1);
    assert.deepEqual(low(events)[0].items.map((i) => i.item_id), ["l1", "l2"]);

    // Back at the top, a new item needs its second; by then a repeated impression of the old ones would have come too.
    await tab.evaluate(() => {
      scrollTo(0, 0);
      const added = Object.assign(document.createElement("a"), { textContent: "N" });
      added.dataset.millraceItem = "new";
      document.querySelector("#top").prepend(added);
    });
    events = await shop.until((all) => top(all).length === 2);
    assert.deepEqual(top(events)[1].items.map((i) => i.item_id), ["new"]);
  });

  scenario(9, "a route change is one page view, and counts impressions anew", async () => {
    const shop = await openShop();
    const tab = await shop.visit("shop.html");
    const base = tab.url();
    await tab.evaluate(() => {
      history.pushState({}, "", location.href + "?page=2");
      history.replaceState({}, "", location.href); // the same address
      history.pushState({}, "", location.href + "#part"); // only another part of it
      history.replaceState({}, "", location.href.split("#")[0] + "&sort=price");
    });
    await tab.goBack();
    await tab.goBack();
    await tab.waitForURL(base);
    const events = await shop.until((all) => ofType(all, "page_view").length >= 5);
    const paths = ofType(events, "page_view").map((e) => e.page.url.slice(base.length));
    assert.deepEqual(paths, ["", "?page=2", "?page=2&sort=price", "?page=2", ""]);
    assert.equal(ofType(events, "page_view")[1].page.referrer, base);
    await shop.until((all) => ofType(all, "view_item_list").length >= 1);
  });

  scenario(0, "login, another user, logout", async () => {
    const shop = await openShop();
    const tab = await shop.visit("shop.html");
    await call(tab, "identify", 42);
    await call(tab, "identify", "42"); // again, as on every page
    const before = await call(tab, "sessionId");
    await call(tab, "track", "marker");
    await call(tab, "logout");
    const afterwards = await call(tab, "sessionId");
    const last = await call(tab, "track", "marker");
    assert.equal(await call(tab, "lastEventId"), last);
    const events = await shop.until((all) => ofType(all, "marker").length === 2);
    const said = events.filter((e) => e.type !== "view_item_list"); // an impression may come in between
    assert.deepEqual(said.map((e) => [e.type, e.user_id]), [
      ["page_view", undefined], ["identify", "42"], ["marker", "42"], ["logout", "42"], ["marker", undefined],
    ]);
    assert.notEqual(before, afterwards, "the next visitor of this browser has a session of his own");
    assert.equal(new Set(events.map((e) => e.anonymous_id)).size, 1);
    assert.equal(await call(tab, "anonymousId"), events[0].anonymous_id);
  });

  scenario(0, "a session ends after 30 idle minutes", async () => {
    const shop = await openShop();
    const tab = await shop.visit("shop.html");
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

  scenario(0, "fields that are no JSON cost the shop's own code nothing", async () => {
    const shop = await openShop();
    const tab = await shop.visit("shop.html");
    await tab.evaluate(() => {
      const circle = {};
      circle.self = circle;
      window.millrace.track("marker", { props: circle });
      window.millrace.track("marker", { items: 7 });
      window.millrace.track("marker", { props: { good: true } });
    });
    const events = await shop.until((all) => ofType(all, "marker").length === 1);
    assert.deepEqual(ofType(events, "marker")[0].props, { good: true });
    assert.deepEqual(events.map((e) => e.seq), events.map((_, i) => i + 1), "what was not recorded looks like a loss");
  });

  scenario(9, "a page from the back-forward cache is a new page view and goes on counting", async () => {
    const shop = await openShop();
    const tab = await shop.visit("shop.html");
    await call(tab, "flush");
    // The browser decides what it caches; the event that tells the page is the same.
    await tab.evaluate(() => {
      dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true }));
      dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
      window.millrace.track("marker");
    });
    const events = await shop.until((all) => ofType(all, "marker").length === 1);
    assert.equal(ofType(events, "page_view").length, 2);
    assert.deepEqual(events.map((e) => e.seq), events.map((_, i) => i + 1));
    assert.equal(new Set(events.map((e) => e.tab_id)).size, 1);
  });

  scenario(9, "with data-hash a change of the fragment is a page view", async () => {
    const shop = await openShop();
    const tab = await shop.visit("plain-beacon.html?attr=data-hash");
    const base = tab.url();
    await tab.evaluate(() => {
      history.pushState({}, "", "#/a");
      history.replaceState({}, "", "#/a");
      location.hash = "#/b";
    });
    const events = await shop.until((all) => ofType(all, "page_view").length >= 3);
    assert.deepEqual(ofType(events, "page_view").map((e) => e.page.url.slice(base.length)), ["", "#/a", "#/b"]);
  });

  scenario(9, "an impression is not counted again by scrolling, hiding or changes, and needs its second in one piece", async () => {
    const shop = await openShop();
    const tab = await visitFrozen(shop, "shop.html");
    const lists = async () => {
      await call(tab, "flush");
      return ofType(await shop.records(), "view_item_list").flatMap((e) => e.items.map((i) => i.item_id));
    };
    // Observers follow frames, which are real and get their time; the second of an impression is the page's.
    const pass = async (ms) => (await tab.waitForTimeout(150), await tab.clock.runFor(ms));
    await pass(900);
    await setHidden(tab, true); // nobody looks: the second begins anew
    await pass(500);
    await setHidden(tab, false);
    await pass(900);
    await tab.clock.runFor(150);
    assert.deepEqual(await lists(), [], "900 and 900 ms are no second");
    await pass(200);
    await tab.clock.runFor(300);
    assert.deepEqual((await lists()).sort(), ["a", "b", "c"]);
    for (const y of [1500, 0]) {
      await tab.evaluate((to) => scrollTo(0, to), y);
      await pass(1500);
    }
    await setHidden(tab, true);
    await setHidden(tab, false);
    await tab.evaluate(() => document.querySelector("#top").append(document.createElement("li")));
    await pass(1500);
    await pass(1500);
    assert.deepEqual((await lists()).sort(), ["a", "b", "c"]);
    // A framework reuses an element for another item.
    await tab.evaluate(() => (document.querySelector("[data-millrace-item=a]").dataset.millraceItem = "d"));
    await pass(150);
    await pass(1000);
    await pass(300);
    assert.deepEqual((await lists()).sort(), ["a", "b", "c", "d"]);
  });

  scenario(9, "dwell is the time visible, and of that the time focused", async () => {
    const shop = await openShop();
    const tab = await shop.visit("item.html");
    await setHidden(tab, true);
    const [visible, focused] = await tab.evaluate(async () => {
      const set = (hidden) => {
        const now = performance.now();
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
        return now;
      };
      const focus = (has) => {
        const now = performance.now();
        document.hasFocus = () => has;
        dispatchEvent(new Event(has ? "focus" : "blur"));
        return now;
      };
      const wait = (ms) => new Promise((done) => setTimeout(done, ms));
      focus(true);
      await wait(50);
      const shown = set(false);
      await wait(300);
      const blurred = focus(false);
      await wait(200);
      const hidden = set(true);
      return [hidden - shown, blurred - shown];
    });
    const events = await shop.until((all) => ofType(all, "engage").length >= 2);
    const engage = ofType(events, "engage")[1];
    assert.ok(Math.abs(engage.engagement.visible_ms - visible) <= 50, `${engage.engagement.visible_ms} of ${visible} ms visible`);
    assert.ok(Math.abs(engage.engagement.focused_ms - focused) <= 50, `${engage.engagement.focused_ms} of ${focused} ms focused`);
    assert.deepEqual(engage.items.map((i) => i.item_id), ["b"]);
    assert.equal(engage.page_view_id, ofType(events, "page_view")[0].page_view_id);
  });

  scenario(9, "dwell belongs to the view that it was spent on", async () => {
    const shop = await openShop();
    const tab = await shop.visit("shop.html");
    await tab.waitForTimeout(50);
    await tab.evaluate(() => history.pushState({}, "", "?page=2"));
    const events = await shop.until((all) => ofType(all, "engage").length === 1 && ofType(all, "page_view").length === 2);
    assert.equal(ofType(events, "engage")[0].page_view_id, ofType(events, "page_view")[0].page_view_id);
  });
}
