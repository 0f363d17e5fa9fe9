// carom.js: tells Carom what happens on a page, and fires the pixels that it answers with. See docs/tag.md.
//
// carom-ingest serves it squeezed (ingest/src/tag/squeeze.rs, which reads no JavaScript) and compressed, in at most 3 kB.
// So in this file a comment is a line of its own, a string ends on its line, and no regular expression holds a quote or
// a space.
//
// Nothing in here may throw into the page, keep it waiting, or write anything to the browser without being allowed to.
(() => {
  // The snippet's function, with the calls that were made before; or a copy of us, and two would tell everything twice.
  const before = window.carom || {};
  if (before.ready) return;

  // Settings are attributes of the script (data-key) or, where a tag manager drops those, parameters of its
  // URL (?key=). The endpoint is found from the script's own URL, so a proxy on the page's host needs no setting.
  const script = document.currentScript;
  const source = new URL(script.src || location);
  const setting = (name) => script.dataset[name] || source.searchParams.get(name);
  const nonce = setting("nonce") || script.nonce;
  const endpoint = new URL(setting("endpoint") || "api/v1/track", source);
  endpoint.searchParams.set("key", setting("key"));

  // Parameters, as "name,value", that say by which click a visitor came.
  const clicks = new RegExp("^(utm_|aff|tid,|epik|dicbo|tblci|.*(cl(ic)?k?_?id|braid|sub_?id|cid,|fat_id)|" + setting("ids") + ")", "i");

  // Who it is: nobody without consent, and then nothing is kept but in this page's memory.
  let visitor, visit;
  let store = {};
  // Whether somebody whom we know came here from a page of the same site.
  let same;
  // The document's own URL, before the page's scripts took the click ids off it.
  let first = (performance.getEntriesByType("navigation")[0] || {}).name;
  // What is not answered yet, by its name in the outbox.
  const flying = {};
  let reports = [];

  const warn = (...words) => console.warn("carom:", ...words);
  const quietly = (act) => (...given) => {
    try {
      return act(...given);
    } catch (error) {
      warn(error);
    }
  };

  // Version 4 does not tell when a visitor was first here; version 7, which begins with the time, orders events.
  const uuid = (version, start = "") => {
    for (const byte of crypto.getRandomValues(new Uint8Array(16))) start += (byte | 256).toString(16).slice(1);
    return start.replace(/(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/, `$1-$2-${version}$3-a$4-$5`);
  };

  // ---- What is kept in the browser -------------------------------------------------------

  const put = (name, value) => {
    try {
      store[name] = value;
    } catch {
      // The quota is used up, or there is none: memory will do for this page.
      store = { ...store, [name]: value };
    }
  };
  const names = (place, start) => Object.keys(place).filter((name) => name.startsWith(start)).sort();

  const cookie = () => (document.cookie.match(/carom_visitor=([^;]*)/) || [])[1];

  // The visitor's cookie is of the widest domain that takes one, so that www and checkout share it. A refusal is
  // remembered as such, and does not say whose it was.
  const allow = (yes) => {
    if (navigator.globalPrivacyControl) return;
    const old = store;
    store = {};
    visitor = yes ? visitor || uuid(4) : undefined;
    try {
      const known = cookie();
      const labels = location.hostname.split(".");
      let site = "";
      const set = (value) => (document.cookie = `carom_visitor=${value};domain=${site};path=/;max-age=31536000;samesite=lax` + (location.protocol == "https:" ? ";secure" : ""));
      do {
        site = labels.pop() + site;
        set(0);
        site = "." + site;
      } while (cookie() != 0 && labels[0]);
      if (yes && known && known[35]) {
        visitor = known;
        same = ("." + document.referrer.split(/[/:]+/)[1]).endsWith(site);
      }
      set(visitor || "denied");
      if (yes) store = localStorage;
    } catch {
      // A frame without an origin has neither.
    }
    for (const name of names(old, "carom")) {
      const value = old[name];
      delete old[name];
      put(name, value);
    }
  };

  // ---- Visits ----------------------------------------------------------------------------

  const here = () => location.href.split("#")[0];
  const marks = (url) => [...new URL(url).searchParams].map(String).filter((pair) => clicks.test(pair));

  // The visit that this page belongs to: a new one for who comes from elsewhere after half an hour, and whenever a
  // click id appears. It is told once, as soon as that is allowed. A referrer alone makes no visit: whoever comes back
  // from a payment page would lose what he landed with.
  const look = quietly(() => {
    const at = Date.now();
    let url = here();
    if (first && !marks(url)[0] && marks(first)[0]) url = first;
    const found = marks(url);
    visit = quietly(JSON.parse)(store.carom_visit || null);
    if (!visit || (first && !same && at - visit.seen > 1800000) || found.some((mark) => !visit.marks.includes(mark)))
      visit = { url, referrer: document.referrer, at, marks: found, told: !visit && same && !found[0] };
    first = "";
    visit.seen = at;
    visit.test = visit.test || /[?&]trl_test=1(&|$)/.test(url);
    const tell = visitor && !visit.told;
    if (tell) visit.told = true;
    put("carom_visit", JSON.stringify(visit));
    if (tell) send({ visit: true }, visit.url);
  });

  // ---- Sending ---------------------------------------------------------------------------

  const send = (what, url = here()) => {
    const at = Date.now();
    const body = {
      v: 1,
      id: uuid(7, 0 + at.toString(16)),
      at,
      visitor,
      page: { url, referrer: document.referrer },
      landing: visit.url == url ? undefined : { url: visit.url, referrer: visit.referrer, at: visit.at },
      test: visit.test,
      ...what,
    };
    const waiting = names(store, "carom:");
    if (waiting[49]) {
      warn("dropped", waiting[0]);
      delete store[waiting[0]];
    }
    return post("carom:" + body.id, JSON.stringify(body));
  };

  // What stands in the outbox is the time at which a page began to send it (13 digits; long ago if nobody is at it), and
  // the body. Two tabs do not send it at once; a copy does no harm, because its id is the same.
  const post = async (name, body) => {
    put(name, Date.now() + body);
    flying[name] = body;
    try {
      // What is to outlive its page may have 64 KiB in all, or is refused at once; a character has three bytes at most.
      const answer = await fetch(endpoint, { method: "POST", body, keepalive: body.length < 21000, credentials: "omit" });
      const { id, pixels, type, detail } = await answer.json();
      // A refusal is final when Carom says so, in a problem document, and not a proxy in between.
      if (!answer.ok && (!type || /5..|408|429/.test(answer.status))) throw type;
      // Another page may have sent it meanwhile, and fired the pixels.
      const ours = name in store;
      delete store[name];
      if (!answer.ok) warn(type, detail);
      else if (ours && pixels) fire(id, pixels);
      return id;
    } catch {
      if (name in store) put(name, 1e12 + body);
    } finally {
      delete flying[name];
    }
  };

  const flush = () => {
    for (const name of names(store, "carom:"))
      // A page that is not seen has nothing to hurry for, and may be about to go: what it began would not be ended.
      if (!document.hidden && Date.now() - parseInt(store[name]) > 20000) post(name, store[name].slice(13));
  };

  // The page goes. What is not answered is the next page's, which need not wait for us.
  const leave = () => {
    report();
    for (const name in flying) {
      if (name in store) put(name, 1e12 + flying[name]);
      // Browsers of before 2025 may know no fetch that outlives its page.
      if (!("keepalive" in Request.prototype)) navigator.sendBeacon(endpoint, flying[name]);
    }
  };

  // ---- Pixels ----------------------------------------------------------------------------

  const fire = (event, pixels) =>
    Promise.all(
      pixels.map(async ({ connector, delivery, sandbox, html }) => {
        const late = new Promise((end) => setTimeout(end, 10000, "timeout"));
        const detail = visitor ? await Promise.race([(sandbox === false ? inPage : inFrame)(html), late]).catch(String) : "no consent";
        reports.push({ event, connector, delivery, outcome: detail ? "failed" : "fired", detail });
      })
    ).then(report);
  const report = () => reports[0] && send({ reports: reports.splice(0) });

  const add = (node) => {
    node.style.display = "none";
    document.documentElement.append(node);
  };

  // Runs within the frame, before the pixel, and tells what went wrong there.
  const watch = () => {
    let detail;
    addEventListener("error", ({ message, target }) => (detail = detail || message || "cannot load " + target.src), true);
    addEventListener("load", () => parent.postMessage({ carom: [detail] }, "*"));
  };

  // In a frame with an opaque origin: neither the page's document nor its cookies nor its storage are there.
  const inFrame = (html) =>
    new Promise((end) => {
      const frame = document.createElement("iframe");
      frame.sandbox = "allow-scripts";
      const whole = `<script>(${watch})()</script>` + html;
      // Not in quotes: it may come to stand in a string of the pixel's.
      frame.srcdoc = nonce ? whole.replace(/<script/gi, "$& nonce=" + nonce) : whole;
      addEventListener("message", ({ source, data }) => source == frame.contentWindow && data && data.carom && end(data.carom[0]));
      setTimeout(() => frame.remove(), 10000);
      add(frame);
    });

  // Ends with what went wrong, or nothing.
  const loaded = (node) =>
    new Promise((end) => {
      node.addEventListener("load", () => end());
      node.addEventListener("error", () => end("cannot load " + node.src));
    });

  // In the page itself, with all that is the page's.
  const inPage = async (html) => {
    const box = document.createElement("div");
    box.append(document.createRange().createContextualFragment(html));
    const waits = [...box.querySelectorAll("img[src],iframe[src]")].map(loaded);
    const scripts = [...box.querySelectorAll("script")];
    for (const node of scripts) node.remove();
    add(box);
    let detail;
    const note = ({ message }) => (detail = detail || message);
    // One after the other, as a parser runs them.
    for (const node of scripts) {
      if (nonce) node.nonce = nonce;
      const wait = node.src && loaded(node);
      addEventListener("error", note);
      // Whoever writes to a page that has been read replaces it.
      let written = "";
      document.write = document.writeln = (more) => (written += more);
      box.append(node);
      delete document.write;
      delete document.writeln;
      removeEventListener("error", note);
      if (written) waits.push(inPage(written));
      if (wait && !node.hasAttribute("async")) await wait;
      waits.push(wait);
    }
    for (const wait of waits) detail = (await wait) || detail;
    return detail;
  };

  // ---- The page's calls ------------------------------------------------------------------

  const call = quietly((what, name, data, options) => {
    if (what == "consent") allow(name == "granted");
    look();
    if (what == "event") return send({ event: { name, data }, ...options });
  });

  const start = quietly(() => {
    const known = quietly(cookie)();
    if (known != "denied" && (known || setting("consent") != "required")) allow(true);
    window.carom = async (...given) => call(...given);
    carom.ready = true;
    for (const given of before.q || []) call(...given);
    look();
    flush();
    for (const name of ["pushState", "replaceState"]) {
      const real = history[name];
      history[name] = function () {
        real.apply(this, arguments);
        look();
      };
    }
    addEventListener("popstate", look);
    addEventListener("online", flush);
    addEventListener("pagehide", leave);
    addEventListener("pageshow", flush);
    document.addEventListener("visibilitychange", flush);
    setInterval(flush, 30000);
  });

  // A page that is rendered ahead is nobody's visit yet.
  if (document.prerendering) document.addEventListener("prerenderingchange", start);
  else start();
})();
