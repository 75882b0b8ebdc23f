/* What pages do beyond htmx: show times as the reader's own. Without this script, all pages still work. */
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

  localTimes(document);
  document.addEventListener("htmx:after:swap", () => localTimes(document));
})();
