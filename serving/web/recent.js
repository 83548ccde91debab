// Recent kits of this browser: names and jobs in localStorage, their state from the service.

import * as api from "./api.js";
import { make } from "./dom.js";

const KEY = "dose-recent";
const MOST = 12;
const STATES = { queued: "waiting", failed: "failed", cancelled: "cancelled" };

export class Recent {
  constructor(panel, list) {
    this.panel = panel;
    this.list = list;
    this.jobs = {}; // id -> the service's last response
    // Another tab of this page has the same history.
    window.addEventListener("storage", (e) => { if (e.key === KEY) this.show(); });
  }

  // Newest first. A browser may forbid storage, and a user may edit it.
  get entries() {
    try {
      const found = JSON.parse(localStorage.getItem(KEY));
      return Array.isArray(found) ? found.filter((e) => e?.id && e.name) : [];
    } catch {
      return [];
    }
  }

  store(entries) {
    try {
      localStorage.setItem(KEY, JSON.stringify(entries.slice(0, MOST)));
    } catch { /* without storage there is no history */ }
    this.show();
  }

  add(id, name) {
    this.store([{ id, name, when: Date.now() }, ...this.entries.filter((e) => e.id !== id)]);
    this.follow();
  }

  // A re-roll makes a new job of the same song.
  replace(old, id) {
    this.store(this.entries.map((e) => (e.id === old ? { ...e, id } : e)));
  }

  remove(id) {
    this.store(this.entries.filter((e) => e.id !== id));
  }

  name(id) {
    return this.entries.find((e) => e.id === id)?.name;
  }

  // Asks for the states until no job is under way; kits that the service has deleted are left out.
  async follow() {
    clearTimeout(this.timer);
    for (const { id } of this.entries) {
      if (["done", "failed", "cancelled"].includes(this.jobs[id]?.state)) continue;
      try {
        this.jobs[id] = await api.job(id);
      } catch (error) {
        if (error.status === 404) this.remove(id);
      }
    }
    this.show();
    const underWay = this.entries.some(({ id }) => ["queued", "running"].includes(this.jobs[id]?.state));
    if (underWay) this.timer = setTimeout(() => this.follow(), 1000);
  }

  show() {
    const { entries } = this;
    this.panel.hidden = !entries.length;
    const items = entries.map((entry) => this.item(entry));
    // Only what changed is replaced, so that the focus stays where it is.
    if (items.map((i) => i.outerHTML).join() !== [...this.list.children].map((i) => i.outerHTML).join()) {
      this.list.replaceChildren(...items);
    }
  }

  item({ id, name, when }) {
    const job = this.jobs[id];
    const running = job?.state === "running" ? `${Math.round(100 * job.progress)} %` : "";
    const time = new Date(when).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    const forget = make("button", { type: "button", className: "button ghost", textContent: "Forget" });
    forget.setAttribute("aria-label", `Forget ${name}`);
    forget.addEventListener("click", () => this.remove(id));
    const link = make("a", { href: `#job=${id}`, textContent: name });
    return make("li", {}, link, make("span", { className: "quiet", textContent: running || STATES[job?.state] || time }), forget);
  }
}
