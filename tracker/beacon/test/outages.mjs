// The collector fails for a while: nothing is lost, and it is not hammered.
import assert from "node:assert/strict";
import { call, long, mark, ofType, openShop, scenario, setHidden, visitFrozen } from "./harness.mjs";

const outages = {
  "503": { status: 503 },
  resets: { reset: true },
  "hanging sockets": { hang: true },
  "a network's login page": { status: 200, body: "<html>Log in</html>" },
};

export default function () {
  for (const [name, fault] of Object.entries(outages)) {
    if (long && fault.status === 200) continue; // waits five minutes by design
    scenario(4, `nothing is lost through ${name}`, async () => {
      // On a connection that it used before, the browser itself tries again after a reset.
      const shop = await openShop({ hold: fault.reset ? 1 : 0 });
      const tab = await shop.visit("shop.html");
      await call(tab, "flush");
      await shop.fault(fault);
      const began = Date.now();
      await mark(tab, 10);
      if (long) await tab.waitForTimeout(60_000);
      const hits = await shop.met(fault.status === 200 || (fault.hang && !long) ? 1 : 3);
      if (fault.hang && !long) await tab.waitForTimeout(began + 15_500 - Date.now()); // until the beacon gives the request up
      assert.ok(hits.length <= 10, `${hits.length} requests`);
      // Two requests may be on their way before the first is known to have failed.
      hits.slice(2).forEach((hit, i) => assert.ok(hit.at - hits[i + 1].at >= 1400 * (i + 1), `waited ${hit.at - hits[i + 1].at} ms`));
      await shop.fault({});
      if (fault.status === 200) {
        await tab.reload(); // a page that is left looks at the world anew
      }
      await shop.markers(10);
    });
  }

  scenario(4, "a visitor who is busy for a minute of outage makes ten requests at most, also when the clock is set back in it", async () => {
    const shop = await openShop();
    const tab = await visitFrozen(shop, "plain-beacon.html");
    await tab.evaluate(() => void window.millrace.flush());
    await shop.until((events) => events.length >= 1);
    await shop.fault({ status: 503 });
    for (let step = 0; step < 20; step++) {
      await mark(tab, 3, 3 * step);
      if (step % 3 < 2) await setHidden(tab, step % 3 === 0);
      if (step === 7) {
        await tab.evaluate(() => {
          const real = Date.now;
          Date.now = () => real() - 86_400_000;
        });
      }
      await tab.clock.runFor(3000);
      await tab.evaluate(() => fetch("/favicon.ico")); // answers of what was sent before it are there
    }
    const hits = await shop.met(2);
    assert.ok(hits.length <= 10, `${hits.length} requests`);
    await shop.fault({});
    for (let step = 0; step < 14; step++) {
      await tab.clock.runFor(5000);
      await tab.evaluate(() => fetch("/favicon.ico"));
    }
    await shop.markers(60);
  });

  scenario(4, "Retry-After is honoured, whatever happens on the page", async () => {
    const shop = await openShop();
    await shop.fault({ status: 503, retry_after: 90 });
    const tab = await visitFrozen(shop, "plain-beacon.html");
    await shop.met(1);
    await tab.evaluate(() => fetch("/favicon.ico"));
    for (let i = 0; i < 8; i++) {
      await mark(tab, 1, i);
      await setHidden(tab, i % 2 === 0);
      await tab.evaluate(() => dispatchEvent(new Event("online")));
      await tab.clock.runFor(10_000);
    }
    assert.equal((await shop.fault({})).length, 1);
    await tab.clock.runFor(20_000);
    await shop.markers(8);
    assert.equal(ofType(await shop.records(), "page_view").length, 1);
  });

  scenario(4, "a beacon that never reached anybody asks once in five minutes", async () => {
    const shop = await openShop({ hold: 1 });
    await shop.fault({ reset: true });
    const tab = await visitFrozen(shop, "plain-beacon.html");
    const pass = async (steps) => {
      for (let i = 0; i < steps; i++) {
        await tab.clock.runFor(10_000);
        await tab.evaluate(() => fetch("/favicon.ico")); // answers of what was sent before it are there
      }
    };
    await pass(30);
    assert.equal((await shop.hits()).length, 3);
    await shop.fault({});
    await pass(12);
    await shop.until((events) => ofType(events, "page_view").length === 1);
  });
}
