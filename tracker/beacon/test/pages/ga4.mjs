// What shops have: the data layer of gtag.js, and objects for Tag Manager.
window.dataLayer = window.dataLayer || [];
window.gtag = function gtag() {
  window.dataLayer.push(arguments);
};
window.gtag("js", new Date());
window.gtag("config", "G-1");
window.dataLayer.push({ ecommerce: null });
window.gtag("event", "view_item_list", { item_list_id: "new", items: [{ item_id: 1, item_name: "One", index: 0 }, { item_id: 2, item_name: "Two", index: 1 }] });
window.dataLayer.push({ event: "select_item", ecommerce: { items: [{ item_id: 2, item_name: "Two", index: 1 }] } });
window.dataLayer.push({ event: "view_item", ecommerce: { value: 10, items: [{ item_id: 2, item_name: "Two", price: "10.00" }] } });
window.dataLayer.push({ event: "add_to_cart", ecommerce: { items: [{ item_id: 2, price: 10, quantity: "2" }] } });
