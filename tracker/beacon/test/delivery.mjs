// Events must arrive: through navigation, closing, being offline, several tabs, a crash.
import assert from "node:assert/strict";
import { call, mark, numbers, ofType, openShop, ready, scenario, setHidden, watch } from "./harness.mjs";

/** Ways to leave a page in the handler of a click, right after five events. */
const leaving = {
  "a link": (tab) => tab.click("#link"),
  "location.href": (tab) => tab.click("#href"),
  reload: (tab) => tab.click("#reload"),
  "a form": (tab) => tab.click("#submit"),
  "another tab": (tab) => tab.click("#blank"),
  back: (tab) => tab.click("#back"),
  "closing the tab": async (tab) => {
    await mark(tab, 5);
    await tab.close({ runBeforeUnload: false });
  },
};

export default function () {
  for (const [how, leave] of Object.entries(leaving)) {
    scenario(2, `events right before leaving by ${how} arrive on a cold connection, once`, async () => {
      const shop = await openShop({ hold: 200 });
      const tab = await shop.context.newPage();
      await tab.goto(shop.url("plain.html"));
      // A connection that the browser opened ahead and gave up is dropped, at times with this very request.
      await tab.goto(shop.url("leave.html")).catch(() => tab.goto(shop.url("leave.html")));
      await ready(tab);
      await leave(tab);
      await shop.markers(5);
    });
  }

  scenario(3, "offline, then online: everything arrives by itself, in order, once", async () => {
    const shop = await openShop();
    const tab = await shop.visit("shop.html");
    await call(tab, "flush");
    await shop.context.setOffline(true);
    await mark(tab, 20);
    await call(tab, "flush");
    assert.equal(ofType(await shop.records(), "marker").length, 0, "nothing can have arrived yet");
    await shop.context.setOffline(false);
    await shop.markers(20);
  });

  scenario(3, "offline and closed: the next page of the shop delivers", async () => {
    const shop = await openShop();
    const tab = await shop.visit("shop.html");
    await call(tab, "flush");
    await shop.context.setOffline(true);
    await mark(tab, 20);
    await tab.close();
    await shop.context.setOffline(false);
    await shop.visit("item.html");
    await shop.markers(20);
  });

  scenario(5, "a hundred large events before a navigation: what does not fit arrives on return", async () => {
    const shop = await openShop();
    const tab = await shop.visit("shop.html");
    await call(tab, "flush");
    await tab.evaluate((to) => {
      for (let n = 0; n < 100; n++) window.millrace.track("marker", { props: { n, pad: "x".repeat(1000), more: "y".repeat(1000) } });
      location.href = to;
    }, shop.url("plain.html"));
    await tab.waitForURL(/plain/);
    const before = await shop.until((events) => ofType(events, "marker").length >= 20);
    assert.ok(ofType(before, "marker").length < 100, "the budget of keepalive requests is no longer tested");
    await tab.goto(shop.url("item.html"));
    await shop.until((events) => ofType(events, "marker").length === 100);
  });

  scenario(6, "what was sent while a page went away is not sent again by the next one", async () => {
    const shop = await openShop({ hold: 200 });
    const tab = await shop.visit("shop.html");
    await call(tab, "flush");
    for (const [i, page] of ["item.html", "shop.html", "item.html"].entries()) {
      await tab.evaluate(([to, from]) => {
        for (let n = from; n < from + 5; n++) window.millrace.track("marker", { props: { n } });
        location.href = to;
      }, [shop.url(page), 5 * i]);
      await tab.waitForURL(new RegExp(page));
      await ready(tab);
    }
    await shop.markers(15);
    await tab.waitForTimeout(2500); // the next page takes over after two seconds what it believes not to have arrived
    await call(tab, "flush");
    await noRepeats(shop);
  });

  scenario(6, "hidden and shown again, nothing is sent twice", async () => {
    const shop = await openShop({ hold: 200 });
    const tab = await shop.visit("shop.html");
    for (let i = 0; i < 3; i++) {
      await mark(tab, 5, 5 * i);
      await setHidden(tab, true);
      await setHidden(tab, false);
    }
    await shop.markers(15);
    await noRepeats(shop);
  });

  scenario(6, "two tabs share visitor and session, and nothing is sent twice", async () => {
    const shop = await openShop();
    const first = await shop.visit("shop.html");
    // A tab opened by the page starts with a copy of its sessionStorage.
    const [second] = await Promise.all([
      shop.context.waitForEvent("page"), first.evaluate((to) => void window.open(to), shop.url("item.html")),
    ]);
    await ready(second);
    await Promise.all([mark(first, 10), mark(second, 10, 10)]);
    await shop.markers(20);
    await Promise.all([setHidden(first, true), setHidden(second, true)]);
    const events = await noRepeats(shop);
    assert.equal(new Set(events.map((e) => e.anonymous_id)).size, 1);
    assert.equal(new Set(events.map((e) => e.session_id)).size, 1);
    const tabs = [...new Set(events.map((e) => e.tab_id))];
    assert.equal(tabs.length, 2);
    for (const id of tabs) {
      const own = events.filter((e) => e.tab_id === id);
      assert.deepEqual(own.map((e) => e.seq), own.map((_, i) => i + 1), `gap or repeat in ${id}`);
    }
  });

  scenario(6, "events of a page that crashed are delivered by the next one, once", async () => {
    const shop = await openShop();
    const tab = await shop.visit("shop.html");
    await call(tab, "flush");
    await shop.fault({ status: 503 });
    await mark(tab, 10);
    await shop.met(1);
    tab.goto("chrome://crash").catch(() => {});
    await tab.waitForEvent("crash");
    await shop.fault({});
    const next = await shop.visit("item.html");
    await shop.markers(10);
    await call(next, "flush");
    await noRepeats(shop);
  });

  scenario(0, "numbers go on over the pages of a tab", async () => {
    const shop = await openShop();
    const tab = await shop.visit("shop.html");
    await tab.click("#inside-b");
    await tab.waitForURL(/item/);
    await ready(tab);
    await mark(tab, 1);
    const events = await shop.until((all) => ofType(all, "marker").length >= 1 && lost(all) === 0);
    assert.equal(new Set(events.map((e) => e.tab_id)).size, 1);
    assert.deepEqual(events.map((e) => e.seq), events.map((_, i) => i + 1));
  });

  scenario(0, "delivered events are off the device", async () => {
    const shop = await openShop();
    const tab = await shop.visit("shop.html");
    await mark(tab, 3);
    await shop.markers(3);
    await call(tab, "flush");
    assert.deepEqual(await tab.evaluate(() => Object.keys(localStorage).filter((name) => name.startsWith("mr.q."))), []);
  });

  scenario(0, "the queue is bounded, and what it gave up is the gap in the numbers", async () => {
    const shop = await openShop();
    const tab = await shop.visit("plain-beacon.html");
    await call(tab, "flush");
    await shop.context.setOffline(true);
    await mark(tab, 520);
    const kept = await tab.evaluate(() => Object.keys(localStorage).filter((name) => name.startsWith("mr.q.")).length);
    assert.equal(kept, 500);
    await shop.context.setOffline(false);
    const events = await shop.until((all) => ofType(all, "marker").length >= 500);
    assert.deepEqual(ofType(events, "marker").map((e) => e.props.n), numbers(520).slice(20));
    assert.equal(lost(events), 20);
  });

  scenario(12, "events that were lost after their acknowledgement are exactly the gap in the numbers", async () => {
    const shop = await openShop();
    const tab = await shop.visit("shop.html");
    await call(tab, "flush");
    await mark(tab, 3);
    await call(tab, "flush");
    await shop.fault({ swallow: true });
    await mark(tab, 7, 3);
    await shop.met(1);
    await call(tab, "flush");
    const swallowed = (await shop.fault({})).filter((each) => each.met).reduce((sum, each) => sum + each.events, 0);
    await mark(tab, 1, 10);
    const events = await shop.until((all) => all.some((e) => e.props?.n === 10));
    assert.ok(swallowed >= 7);
    assert.equal(lost(events), swallowed);
  });

  scenario(0, "a wrong key is said once and not retried", async () => {
    const shop = await openShop();
    const tab = await shop.context.newPage();
    watch(tab);
    await tab.goto(shop.url("wrong-key.html"));
    await ready(tab);
    await call(tab, "flush"); // the answer is there: until then a second request may be under way
    await mark(tab, 3);
    await call(tab, "flush");
    await call(tab, "flush");
    assert.equal((await shop.hits()).length, 1);
  });
}

/** How many numbers of the tabs are missing. */
function lost(events) {
  const tabs = new Map();
  for (const { tab_id, seq } of events) tabs.set(tab_id, [...(tabs.get(tab_id) ?? []), seq]);
  return [...tabs.values()].reduce((sum, seqs) => sum + Math.max(...seqs) - new Set(seqs).size, 0);
}

/** All records, each of which came once. */
async function noRepeats(shop) {
  const events = await shop.records();
  const ids = events.map((e) => e.event_id);
  assert.deepEqual(events.filter((e, i) => ids.indexOf(e.event_id) !== i).map((e) => [e.type, e.seq]), [], "came twice");
  return events;
}
