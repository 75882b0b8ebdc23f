/* Says that the connection to Stentor is lost, and that it is back. htmx connects again by itself, but only where it was
   connected once: if the first connection fails, this script tries again. */
"use strict";
(() => {
  const CONNECT = "hx-sse:connect";
  const SOONEST = 1000, LATEST = 30000; // milliseconds
  let pause = SOONEST;

  function lost(is) {
    for (const each of document.querySelectorAll(".offline")) each.hidden = !is;
  }

  function live(context) {
    const element = context?.sourceElement;
    return element instanceof Element && element.hasAttribute(CONNECT) ? element : null;
  }

  function again(element) {
    lost(true);
    setTimeout(() => element.isConnected && htmx.ajax("GET", element.getAttribute(CONNECT), { source: element }), pause);
    pause = Math.min(LATEST, 2 * pause);
  }

  function signedOut(status) {
    if (status === 401) location.reload(); // leads to where one signs in
  }

  document.addEventListener("htmx:error", (event) => {
    const element = live(event.detail.ctx);
    if (element) again(element);
  });
  document.addEventListener("htmx:before:response", (event) => {
    const { ctx } = event.detail;
    const element = live(ctx);
    if (!element || ctx.response.raw.ok) return;
    event.preventDefault(); // a page that tells of a problem is no part of this page
    signedOut(ctx.response.status);
    again(element);
  });
  document.addEventListener("htmx:sse:error", (event) => {
    signedOut(event.detail.status);
    lost(true);
  });
  document.addEventListener("htmx:sse:after:connection", () => {
    pause = SOONEST;
    lost(false);
  });
})();
