/* What pages do beyond htmx: show times as the reader's own, and send a form once. Without this script, all pages still work. */
"use strict";
(() => {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

  function localTimes(root) {
    for (const each of root.querySelectorAll("time[datetime]")) {
      const at = new Date(each.dateTime);
      if (!each.title && !Number.isNaN(at.valueOf())) {
        each.title = each.textContent;
        each.textContent = (each.classList.contains("clock") ? clock : format).format(at);
      }
    }
  }

  /* Of a double click only the first counts. The server counts on nothing of this. */
  const DOUBLE = 1500;
  const sent = new WeakMap();
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented || event.target.method !== "post") {
      return;
    }
    const last = sent.get(event.target);
    if (last !== undefined && event.timeStamp - last < DOUBLE) {
      event.preventDefault();
    } else {
      sent.set(event.target, event.timeStamp);
    }
  });

  localTimes(document);
  document.addEventListener("htmx:after:swap", () => localTimes(document));
})();
