// What the script costs and where it must work: blocked storage, strict policies, wrong clocks, refusals, the package.
import assert from "node:assert/strict";
import { call, mark, ofType, openShop, ready, scenario, watch } from "./harness.mjs";

export default function () {
  scenario(1, "a page fetches one script within its budget, also by the stub", async () => {
    for (const [page, budget] of [["shop.html", 4096], ["stub.html", 4096], ["core.html", 3072]]) {
      const shop = await openShop();
      const tab = await shop.visit(page);
      const scripts = await tab.evaluate(() =>
        performance.getEntriesByType("resource").filter((each) => each.initiatorType === "script" && !each.name.includes("/pages/")).map((each) => each.encodedBodySize));
      assert.equal(scripts.length, 1);
      assert.ok(scripts[0] > 1000 && scripts[0] <= budget, `${page}: ${scripts[0]} bytes`);
    }
  });

  scenario(0, "calls to the stub are run in order once the script is there", async () => {
    const shop = await openShop();
    const tab = await shop.visit("stub.html");
    const events = await shop.until((all) => ofType(all, "marker").length === 1);
    assert.deepEqual(events.map((e) => [e.type, e.user_id]), [["page_view", undefined], ["identify", "7"], ["marker", "7"]]);
    assert.deepEqual(tab.faults, []);
  });

  scenario(0, "the core records page views and what it is told", async () => {
    const shop = await openShop();
    const tab = await shop.visit("core.html");
    await tab.click("a");
    await call(tab, "track", "add_to_cart", { item_id: "a" });
    const events = await shop.until((all) => ofType(all, "add_to_cart").length === 1);
    assert.deepEqual(events.map((e) => e.type), ["page_view", "add_to_cart"]);
  });

  scenario(0, "the module starts the same beacon", async () => {
    const shop = await openShop();
    const tab = await shop.visit("module.html");
    const events = await shop.until((all) => ofType(all, "marker").length === 1);
    assert.deepEqual(events.map((e) => e.type), ["page_view", "marker"]);
    assert.deepEqual(tab.faults, []);
  });

  scenario(0, "commands that came before the script are run", async () => {
    const shop = await openShop();
    await shop.context.addInitScript(() => {
      window.millrace = [["track", "marker", { items: ["x", { item_id: 7, price: "1.50" }] }], () => (window.called = window.millrace.anonymousId())];
    });
    const tab = await shop.visit("shop.html");
    const events = await shop.until((all) => ofType(all, "marker").length === 1);
    assert.deepEqual(ofType(events, "marker")[0].items, [{ item_id: "x" }, { item_id: "7", price: 1.5 }]);
    assert.equal(await tab.evaluate(() => window.called), events[0].anonymous_id);
  });

  scenario(0, "debug mode prints what is recorded and sent, and why", async () => {
    const shop = await openShop();
    const tab = await shop.context.newPage();
    const said = [];
    tab.on("console", (message) => said.push(message.text()));
    await tab.goto(shop.url("plain-beacon.html?attr=data-debug"));
    await ready(tab);
    await mark(tab, 1);
    await shop.markers(1);
    assert.ok(said.some((line) => /^millrace now \d+ /.test(line) && line.includes("page_view")), said.join("\n"));
    assert.ok(said.some((line) => /^millrace (now|timer|next) \d+ /.test(line) && line.includes("marker")), said.join("\n"));
    const quiet = await shop.context.newPage();
    watch(quiet);
    quiet.on("console", (message) => assert.fail(message.text()));
    await quiet.goto(shop.url("plain-beacon.html"));
    await ready(quiet);
    await call(quiet, "flush");
  });

  scenario(11, "with storage and cookies blocked it still sends, and throws nothing", async () => {
    const shop = await openShop();
    await shop.context.addInitScript(() => {
      for (const name of ["localStorage", "sessionStorage"]) {
        Object.defineProperty(window, name, { get() { throw new DOMException("blocked", "SecurityError"); } });
      }
      Object.defineProperty(Document.prototype, "cookie", { get() { throw new DOMException("blocked", "SecurityError"); }, set() { throw new DOMException("blocked", "SecurityError"); } });
    });
    const tab = await shop.visit("shop.html");
    await mark(tab, 3);
    await shop.markers(3);
    await tab.waitForTimeout(2200); // it looks for what others left
    await call(tab, "flush");
    const events = await shop.records();
    assert.equal(new Set(events.map((e) => e.anonymous_id)).size, 1);
    assert.equal(new Set(events.map((e) => e.event_id)).size, events.length);
    assert.deepEqual(tab.faults, []);
  });

  scenario(11, "with a full storage it still sends, and does not fill it", async () => {
    const shop = await openShop();
    await shop.context.addInitScript(() => {
      for (const storage of [localStorage, sessionStorage]) {
        for (let part = "x".repeat(1 << 20), n = 0; part; ) {
          try {
            storage.setItem("full" + n++, part);
          } catch {
            part = part.slice(0, part.length >> 1);
          }
        }
      }
    });
    const tab = await shop.visit("shop.html");
    await mark(tab, 3);
    await shop.markers(3);
    const events = await shop.records();
    assert.equal(new Set(events.map((e) => e.anonymous_id)).size, 1);
    assert.deepEqual(tab.faults, []);
  });

  for (const [name, offset] of [["a day ahead", 86_400_000], ["a day behind", -86_400_000]]) {
    scenario(12, `with a clock ${name} times are right`, async () => {
      const shop = await openShop();
      await shop.context.addInitScript((by) => {
        const real = Date.now;
        Date.now = () => real() + by;
        const origin = performance.timeOrigin + by;
        Object.defineProperty(performance, "timeOrigin", { get: () => origin });
      }, offset);
      const tab = await shop.visit("shop.html");
      await happened(shop, () => mark(tab, 1), 0);
    });

    scenario(12, `a clock that jumps ${name} while events wait`, async () => {
      const shop = await openShop();
      const tab = await shop.visit("shop.html");
      await call(tab, "flush");
      await shop.context.setOffline(true);
      await happened(shop, () => mark(tab, 1), 0, async () => {
        await tab.evaluate((by) => {
          const real = Date.now;
          Date.now = () => real() + by;
        }, offset);
        await shop.context.setOffline(false);
      });
    });
  }

  scenario(0, "where consent is required nothing is sent or stored before it, and everything after", async () => {
    const shop = await openShop();
    let requests = 0;
    shop.context.on("request", (request) => request.url().includes("/v1/events") && requests++);
    const tab = await shop.visit("consent.html");
    await call(tab, "track", "marker");
    await call(tab, "identify", "u-1");
    await call(tab, "flush");
    assert.equal(requests, 0);
    assert.equal(await tab.evaluate(() => localStorage.length + sessionStorage.length + document.cookie.length), 0);
    await call(tab, "consent", { personalization: true, analytics: true });
    const events = await shop.until((all) => ofType(all, "consent").length === 1);
    assert.deepEqual(events.map((e) => [e.type, e.user_id]), [
      ["page_view", undefined], ["marker", undefined], ["identify", "u-1"], ["consent", "u-1"],
    ]);
    assert.ok(events.every((e) => e.anonymous_id && e.consent.personalization));
  });

  scenario(0, "without personalization events carry no ids and the device keeps none", async () => {
    const shop = await openShop();
    const tab = await shop.visit("consent.html");
    await call(tab, "consent", { personalization: false });
    await call(tab, "track", "view_item", { item_id: "a" });
    await call(tab, "flush");
    const events = await shop.until((all) => ofType(all, "view_item").length === 1);
    for (const e of events) {
      assert.deepEqual([e.anonymous_id, e.session_id, e.user_id, e.tab_id], [undefined, undefined, undefined, undefined]);
      assert.equal(e.consent.personalization, false);
    }
    assert.deepEqual(await tab.evaluate(() => Object.keys(localStorage)), ["mr.c"], "only the choice itself");
  });

  scenario(0, "Global Privacy Control is a refusal of personalization", async () => {
    const shop = await openShop();
    await shop.context.addInitScript(() => Object.defineProperty(navigator, "globalPrivacyControl", { value: true }));
    await shop.visit("shop.html");
    const [event] = await shop.until((all) => all.length >= 1);
    assert.equal(event.consent.personalization, false);
    assert.equal(event.anonymous_id, undefined);
  });

  scenario(0, "without analytics nothing is sent at all, also on the next page", async () => {
    const shop = await openShop();
    const tab = await shop.visit("consent.html");
    await call(tab, "consent", { analytics: false });
    await call(tab, "track", "marker");
    const next = await shop.visit("shop.html");
    await call(next, "track", "marker");
    await call(next, "flush");
    assert.deepEqual(await shop.records(), []);
  });

  scenario(0, "cookieless until the visitor decides: events go without ids and nothing is stored", async () => {
    const shop = await openShop();
    const tab = await shop.visit("plain-beacon.html?attr=data-consent=cookieless");
    await mark(tab, 1);
    const before = await shop.until((all) => ofType(all, "marker").length === 1);
    for (const e of before) assert.deepEqual([e.anonymous_id, e.session_id, e.tab_id, e.seq], [undefined, undefined, undefined, undefined]);
    await tab.evaluate(() => dispatchEvent(new PageTransitionEvent("pagehide")));
    assert.equal(await tab.evaluate(() => localStorage.length + sessionStorage.length), 0);
    assert.deepEqual(await shop.context.cookies(), []);
    await call(tab, "consent", { personalization: true });
    await mark(tab, 1, 1);
    const events = await shop.until((all) => ofType(all, "marker").length === 2);
    assert.ok(ofType(events, "marker").some((e) => e.anonymous_id && e.session_id));
  });
}

/** Does something, and checks that the event's time is that of it, to the second. */
async function happened(shop, act, n, then) {
  const from = Date.now();
  await act();
  const to = Date.now();
  await then?.();
  const events = await shop.until((all) => all.some((e) => e.props?.n === n));
  const at = Date.parse(events.find((e) => e.props?.n === n).occurred_at);
  assert.ok(at > from - 1000 && at < to + 1000, `${at - from} ms after`);
}
