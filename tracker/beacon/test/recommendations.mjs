// Which recommendation led to what, and what shops tell GA4.
import assert from "node:assert/strict";
import { call, numbers, ofType, openShop, ready, scenario } from "./harness.mjs";

export default function () {
  scenario(10, "a click in a list is known at the item, in the cart and at the purchase three pages later", async () => {
    const shop = await openShop();
    const tab = await shop.visit("shop.html");
    await tab.click("#inside-b");
    await tab.waitForURL(/item/);
    await ready(tab);
    await tab.click("#cart");
    for (const page of ["plain-beacon.html?cart", "plain-beacon.html?checkout", "plain-beacon.html?thanks"]) {
      await tab.goto(shop.url(page));
      await ready(tab);
    }
    await call(tab, "track", "purchase", { transaction_id: 17, value: "19.00", currency: "EUR", items: [{ item_id: "z" }, { item_id: "b", quantity: 2 }] });
    const events = await shop.until((all) => ofType(all, "purchase").length === 1);
    for (const type of ["select_item", "view_item", "add_to_cart", "purchase"]) {
      assert.deepEqual(ofType(events, type)[0].rec, { rec_id: "rec-1", placement: "home", index: 1 }, type);
    }
    assert.equal(ofType(events, "purchase")[0].transaction_id, "17");
  });

  scenario(10, "of 400 clicks on our lists each one keeps rec_id and position through to its purchase", async () => {
    const shop = await openShop();
    const tab = await shop.visit("shop.html");
    await call(tab, "flush");
    await tab.evaluate(() => {
      document.addEventListener("click", (event) => event.preventDefault());
      for (let list = 0; list < 20; list++) {
        const ul = document.body.appendChild(document.createElement("ul"));
        Object.assign(ul.dataset, { millraceRec: "many-" + list, millracePlacement: "home", millraceToken: "t" + list });
        for (let place = 0; place < 20; place++) {
          ul.appendChild(document.createElement("li")).dataset.millraceItem = `${list}-${place}`;
        }
      }
      for (const item of document.querySelectorAll("[data-millrace-rec^=many] [data-millrace-item]")) item.click();
    });
    await shop.until((all) => ofType(all, "select_item").length === 400);
    for (const page of ["item.html", "plain-beacon.html?1", "plain-beacon.html?2"]) {
      await tab.goto(shop.url(page));
      await ready(tab);
    }
    await tab.evaluate((n) => {
      for (const i of n) {
        const item_id = `${Math.floor(i / 20)}-${i % 20}`;
        window.millrace.track("purchase", { transaction_id: "t" + i, items: [{ item_id, quantity: 1 }] });
      }
    }, numbers(400));
    const events = await shop.until((all) => ofType(all, "purchase").length === 400);
    for (const { items, rec } of ofType(events, "purchase")) {
      const [list, place] = items[0].item_id.split("-");
      assert.deepEqual(rec, { rec_id: "many-" + list, placement: "home", index: +place, token: "t" + list });
    }
  });

  scenario(10, "an order of several recommended items names all of them", async () => {
    const shop = await openShop();
    const tab = await shop.visit("plain-beacon.html");
    const click = (item_id, rec_id, index) => call(tab, "track", "select_item", { items: [{ item_id }], rec: { rec_id, placement: "home", index } });
    await click("x", "r-1", 4);
    await click("y", "r-2", 0);
    await click("y", "r-3", 7);
    await call(tab, "track", "purchase", { transaction_id: "t", items: [{ item_id: "x" }, { item_id: "w" }, { item_id: "y" }] });
    const events = await shop.until((all) => ofType(all, "purchase").length === 1);
    const [order] = ofType(events, "purchase");
    assert.deepEqual(order.rec, { rec_id: "r-1", placement: "home", index: 4 });
    assert.deepEqual(order.props, { rec_2: "r-3 home 7" });
  });

  scenario(10, "a shop with GA4 tagging needs the script tag alone", async () => {
    const shop = await openShop();
    const tab = await shop.visit("ga4.html");
    await tab.evaluate(() => {
      window.gtag("event", "purchase", { transaction_id: 4711, value: 20, currency: "EUR", tax: 3, items: [{ item_id: 2, price: "10.00", quantity: 2, coupon: "X" }] });
      window.gtag("event", "page_view", { page_title: "not ours" });
      window.dataLayer.push({ event: "gtm.dom" }, { ecommerce: null }, { event: "view_search_results", search_term: "lamp" });
    });
    const events = await shop.until((all) => ofType(all, "search").length === 1);
    const said = events.filter((e) => !["engage"].includes(e.type)).map((e) => [e.type, e.items?.map((i) => [i.item_id, i.item_name, i.price, i.quantity, i.index])]);
    assert.deepEqual(said, [
      ["page_view", undefined],
      ["view_item_list", [["1", "One", undefined, undefined, 0], ["2", "Two", undefined, undefined, 1]]],
      ["select_item", [["2", "Two", undefined, undefined, 1]]],
      ["view_item", [["2", "Two", 10, undefined, undefined]]],
      ["add_to_cart", [["2", undefined, 10, 2, undefined]]],
      ["purchase", [["2", undefined, 10, 2, undefined]]],
      ["search", undefined],
    ]);
    const [order] = ofType(events, "purchase");
    assert.deepEqual([order.transaction_id, order.value, order.currency], ["4711", 20, "EUR"]);
    assert.equal(ofType(events, "search")[0].search_term, "lamp");
    assert.equal(await tab.evaluate(() => window.dataLayer.length), 12, "the shop's own data layer is as it was");
    assert.deepEqual(tab.faults, []);
  });

  scenario(0, "data-ga4=off leaves the data layer alone", async () => {
    const shop = await openShop();
    const tab = await shop.visit("plain-beacon.html?attr=data-ga4=off");
    await tab.evaluate(() => (window.dataLayer = window.dataLayer || []).push({ event: "add_to_cart", ecommerce: { items: [{ item_id: "1" }] } }));
    await call(tab, "track", "marker");
    const events = await shop.until((all) => ofType(all, "marker").length === 1);
    assert.equal(ofType(events, "add_to_cart").length, 0);
  });
}
