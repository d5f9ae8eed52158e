// The shop's own script: it draws the lists that Millrace recommends, keeps the basket in this browser, and shows what
// was heard. Events are the beacon's business; it reads them from the data-millrace attributes of the page.
"use strict";
(() => {
  const { key, api, base, version } = document.currentScript.dataset;
  const listLength = 6;
  const patience = 1500; // ms that a list waits for the collector's answer before it asks without
  const comeBack = [300, 1000, 3000, 10_000, 30_000]; // ms after which lists that were stale are asked for again
  const money = new Intl.NumberFormat("en-IE", { style: "currency", currency: "EUR" });

  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

  /** JSON in the browser's storage; a browser that refuses storage forgets, and nothing worse. */
  const kept = (area, name, otherwise) => {
    const key = "weir." + name;
    return {
      get() {
        try {
          return JSON.parse(window[area].getItem(key)) ?? otherwise;
        } catch {
          return otherwise;
        }
      },
      set(value) {
        try {
          window[area].setItem(key, JSON.stringify(value));
        } catch {
          // full or forbidden
        }
      },
    };
  };

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) if (value != null) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  // What happened

  const traceKept = kept("sessionStorage", "trace", []);
  const trace = (text, answer = false) => {
    const lines = [...traceKept.get(), { at: new Date().toTimeString().slice(0, 8), text, answer }].slice(-7);
    traceKept.set(lines);
    drawTrace(lines);
  };
  const drawTrace = (lines) => {
    $("[data-trace-lines]").replaceChildren(
      ...lines.map((line) => make("li", { class: line.answer ? "answer" : null }, make("time", {}, line.at), make("span", {}, line.text))),
    );
    const dot = $("[data-trace] .dot");
    dot.classList.remove("beat");
    void dot.offsetWidth; // starts the animation anew
    dot.classList.add("beat");
  };

  // Basket

  const cartKept = kept("localStorage", "cart", []);
  const cart = () => cartKept.get();
  const cartItems = () => cart().map(({ id, name, category, brand, price, quantity }) => ({
    item_id: id, item_name: name, item_category: category, item_brand: brand, price, quantity,
  }));
  const cartValue = () => cart().reduce((sum, line) => sum + line.price * line.quantity, 0);

  const drawCart = () => {
    const lines = cart();
    $("[data-cart-count]").textContent = lines.reduce((sum, line) => sum + line.quantity, 0);
    if (!$("[data-cart]")) return;
    $("[data-cart-lines]").replaceChildren(...lines.map((line) =>
      make("li", {},
        make("img", { src: line.image, alt: "", width: 80, height: 80 }),
        make("a", { href: base + "item/" + encodeURIComponent(line.id) }, line.name + (line.quantity > 1 ? " × " + line.quantity : "")),
        make("span", {}, money.format(line.price * line.quantity)),
        make("button", { type: "button", "data-remove": line.id, "aria-label": "Remove " + line.name }, "Remove"),
      )));
    $("[data-cart-empty]").hidden = lines.length > 0;
    $("[data-cart-total]").hidden = $("[data-cart-actions]").hidden = lines.length === 0;
    $("[data-cart-sum]").textContent = money.format(cartValue());
  };

  const product = () => {
    const element = $("[data-product]");
    if (!element) return null;
    const { millraceItem: id, millraceName: name, millraceCategory: category, millraceBrand: brand, millracePrice: price, image } = element.dataset;
    return { id, name, category, brand, price: +price, image };
  };

  const addToCart = (added) => {
    const lines = cart();
    const known = lines.find((line) => line.id === added.id);
    if (known) known.quantity++;
    else lines.push({ ...added, quantity: 1 });
    cartKept.set(lines);
  };

  // Lists

  const card = (item) => {
    const { title, price, image_url: image, url, categories, brand } = item.fields;
    const id = encodeURIComponent(item.item_id);
    return make("article",
      {
        class: "card", "data-millrace-item": item.item_id, "data-millrace-name": title, "data-millrace-category": categories?.[0],
        "data-millrace-brand": brand, "data-millrace-price": price, "data-millrace-index": item.position,
      },
      make("a", { href: url ?? base + "item/" + id },
        make("img", { src: (image ?? base + "art/" + id + ".svg") + "?v=" + version, alt: "", width: 320, height: 320 }),
        make("span", { class: "name" }, title ?? item.item_id)),
      make("p", { class: "price" }, price == null ? "" : money.format(price)),
      make("p", { class: "why" }, item.reasons[0] ?? ""),
    );
  };

  /** Says on each card how its place changed since this visitor last saw the list. */
  const markMoves = (placement, cards) => {
    const orderKept = kept("sessionStorage", "order." + placement, null);
    const before = orderKept.get();
    const ids = cards.map((each) => each.dataset.millraceItem);
    orderKept.set(ids);
    if (!before) return;
    ids.forEach((id, now) => {
      const then = before.indexOf(id);
      const text = then < 0 ? "new" : then > now ? "▲ " + (then - now) : "";
      if (text) cards[now].append(make("span", { class: "badge" }, text));
    });
  };

  /** Replaces the cards of a list; those that stay glide to their new place. */
  const draw = (section, answer) => {
    const row = $("[data-cards]", section);
    const places = new Map($$("[data-millrace-item]", row).map((each) => [each.dataset.millraceItem, each.getBoundingClientRect()]));
    const cards = answer.items.map(card);
    markMoves(section.dataset.list, cards);
    section.dataset.millracePlacement = answer.placement;
    section.dataset.millraceRec = answer.rec_id;
    row.replaceChildren(...cards);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    for (const each of cards) {
      const from = places.get(each.dataset.millraceItem);
      if (!from) continue;
      const to = each.getBoundingClientRect();
      each.animate([{ transform: `translate(${from.x - to.x}px, ${from.y - to.y}px)` }, { transform: "none" }], { duration: 400, easing: "ease-out" });
    }
  };

  const ask = async (placement, after, exclude) => {
    const query = new URLSearchParams({ placement, key, limit: listLength });
    const visitor = window.millrace?.anonymousId?.();
    const here = product()?.id;
    if (visitor) {
      query.set("anonymous_id", visitor);
      query.set("session_id", millrace.sessionId());
      if (after) query.set("after_event", after);
    }
    if (placement === "cart") cart().forEach((line) => query.append("item_ids", line.id));
    else if (here && (placement === "item" || !visitor)) query.set("item_ids", here);
    exclude.forEach((id) => query.append("exclude_ids", id));
    const response = await fetch(api + "/v1/recommend?" + query);
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.detail || answer.title || response.statusText);
    return answer;
  };

  /** Asks for one list and draws it, unless a newer event has outrun it meanwhile; what was drawn comes back. */
  const fill = async (section, after, since, exclude, outrun) => {
    const placement = section.dataset.list;
    const status = $("[data-status]", section);
    section.hidden = placement === "cart" && cart().length === 0;
    if (section.hidden) return null;
    try {
      const answer = await ask(placement, after, exclude);
      if (outrun()) return null;
      draw(section, answer);
      const took = Math.round(performance.now() - since);
      status.textContent = answer.stale ? "still catching up with you" : "followed you in " + took + " ms";
      trace(`${placement}: ${took} ms, ${answer.served_by || answer.degraded}`, true);
      return answer;
    } catch (error) {
      if (!outrun()) status.textContent = "no list just now: " + error.message;
      return null;
    }
  };

  let round = 0;

  /**
   * Asks for every list of the page anew, as it is after the visitor's newest event. since is when that happened. Lists that
   * did not follow it yet are shown, and asked for again some times.
   */
  const refresh = async (since, tries = 0) => {
    const mine = ++round;
    const after = window.millrace?.lastEventId?.();
    if (after) await Promise.race([millrace.flush(), sleep(patience)]);
    // Each list leaves out the best of those above it: two lists that begin alike would be one too many.
    const taken = product() ? [product().id] : [];
    let stale = false;
    for (const section of $$("[data-list]")) {
      if (mine !== round) return;
      const answer = await fill(section, after, since, taken, () => mine !== round);
      if (!answer) continue;
      stale ||= answer.stale;
      taken.push(...answer.items.slice(0, listLength / 2).map((item) => item.item_id));
    }
    if (!stale || tries === comeBack.length) return;
    await sleep(comeBack[tries]);
    if (mine === round) await refresh(since, tries + 1);
  };

  // What visitors do

  const said = (text) => {
    $("[data-said]").textContent = text;
  };

  const forgetLine = (id) => {
    const line = cart().find((each) => each.id === id);
    const item = cartItems().find((each) => each.item_id === id);
    cartKept.set(cart().filter((each) => each.id !== id));
    window.millrace?.track("remove_from_cart", { items: [item], value: line.price * line.quantity, currency: "EUR" });
    trace("remove_from_cart " + line.name);
  };

  const checkOut = async () => {
    const what = { items: cartItems(), value: cartValue(), currency: "EUR" };
    window.millrace?.track("begin_checkout", what);
    window.millrace?.track("purchase", { ...what, transaction_id: "weir-" + Date.now().toString(36) + Math.random().toString(36).slice(2, 8) });
    trace("purchase, " + money.format(what.value));
    cartKept.set([]);
    await Promise.race([window.millrace?.flush(), sleep(patience)]);
    location.href = base + "thanks";
  };

  // The beacon listens in the capture phase, so that an event of a click has its id when this runs.
  document.addEventListener("click", (click) => {
    const button = click.target.closest("button");
    if (!button) return;
    const now = performance.now();
    if ("add" in button.dataset) {
      addToCart(product());
      drawCart();
      said("In your basket.");
      trace("add_to_cart " + product().name);
      refresh(now);
    } else if ("like" in button.dataset && button.dataset.millraceEvent) {
      delete button.dataset.millraceEvent; // liking twice is liking once
      button.setAttribute("aria-pressed", "true");
      button.textContent = "♥ Liked";
      trace("add_to_wishlist " + product().name);
      refresh(now);
    } else if (button.dataset.remove) {
      forgetLine(button.dataset.remove);
      drawCart();
      refresh(now);
    } else if ("checkout" in button.dataset) {
      button.disabled = true;
      checkOut();
    }
  });

  const start = () => {
    const now = performance.now();
    drawCart();
    drawTrace(traceKept.get());
    trace(product() ? "view_item " + product().name : "page_view " + document.title.split(" · ")[0]);
    refresh(now);
  };

  const follow = () => refresh(performance.now());
  addEventListener("pageshow", (event) => event.persisted && (drawCart(), follow()));
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && follow());
  if (document.prerendering) document.addEventListener("prerenderingchange", start, { once: true });
  else start();
})();
