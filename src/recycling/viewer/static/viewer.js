// Keys, the score slider, the theme: what a page does without asking the server.
"use strict";

const viewer = {
  pending: "",

  // Hide what scores less; the server does the same for the next page.
  score(least) {
    for (const shape of document.querySelectorAll("[data-score]")) {
      shape.classList.toggle("below", Number(shape.dataset.score) < least);
    }
  },

  theme() {
    const dark = !document.body.classList.contains("body--dark");
    document.cookie = `theme=${dark ? "dark" : "light"};path=/;max-age=31536000;samesite=strict`;
    Quasar.Dark.set(dark);
  },

  async copy(text) {
    await navigator.clipboard.writeText(text);
    Quasar.Notify.create({ message: `copied: ${text}`, timeout: 1500 });
  },

  keys() {
    const known = document.getElementById("keys");
    if (known) return known.remove();
    const list = document.createElement("dialog");
    list.id = "keys";
    for (const element of document.querySelectorAll("[data-key]")) {
      const line = document.createElement("p");
      const key = document.createElement("kbd");
      key.textContent = element.dataset.key;
      line.append(key, ` ${element.title || element.textContent.trim()}`);
      list.append(line);
    }
    list.addEventListener("click", () => list.remove());
    document.body.append(list);
    list.show();
  },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [role=combobox], [role=listbox]")) return;
  if (event.key === "Escape") document.getElementById("keys")?.remove();
  const keys = viewer.pending === "g" ? `g ${event.key}` : event.key;
  viewer.pending = keys === "g" ? "g" : "";
  const found = document.querySelector(`[data-key="${CSS.escape(keys)}"]`);
  if (!found) return;
  event.preventDefault();
  found.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
});
