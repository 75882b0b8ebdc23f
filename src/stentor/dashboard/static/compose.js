/* Times in the reader's own zone, template errors beside their fields, and the countdown of a held start. */
"use strict";
(() => {
  const zone = document.getElementById("zone");
  const at = document.getElementById("at");
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && at && here && !zone.value) {
    if (at.dataset.at) {
      const when = new Date(Number(at.dataset.at) * 1000);
      at.value = new Date(when.valueOf() - when.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
    }
    zone.value = here;
    document.getElementById("zone-name").textContent = here;
  }

  document.addEventListener("htmx:after:swap", () => {
    const told = new Map([...document.querySelectorAll("#preview [data-field]")].map((each) => [each.dataset.field, each.querySelector("span").textContent]));
    for (const about of document.querySelectorAll("[data-about]")) {
      const problem = told.get(about.dataset.about);
      about.textContent = problem || about.dataset.hint;
      about.className = problem ? "error" : "hint";
    }
  });

  const timer = document.querySelector("[data-countdown]");
  if (timer) {
    const end = performance.now() + Number(timer.dataset.countdown) * 1000;
    const show = () => {
      const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
      const hours = Math.floor(left / 3600), minutes = Math.floor(left / 60) % 60, seconds = left % 60;
      timer.textContent = left < 100 ? `${left} s` : hours ? `${hours} h ${minutes} min` : `${minutes} min ${seconds} s`;
      if (left) setTimeout(show, 250);
      else setTimeout(() => location.assign(timer.dataset.then), 1000);
    };
    show();
  }
})();
