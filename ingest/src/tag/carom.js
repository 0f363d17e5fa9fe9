// carom.js: tells Carom what happens on a page, and fires the pixels that it answers with. See docs/tag.md.
//
// carom-ingest serves it squeezed (ingest/src/tag/squeeze.rs, which reads no JavaScript) and compressed, in at most 3 kB.
// So in this file a comment is a line of its own, a string ends on its line, and no regular expression holds a quote or
// a space. Names that const and let declare become letters where they are nothing else, such as a property or a part of
// a template; none of them is a name of the browser's, or stands alone in a regular expression.
//
// Nothing in here may throw into the page, keep it waiting, or write anything to the browser without being allowed to.
(() => {
  // The snippet's function, with the calls that were made before; or a copy of us, and two would tell everything twice.
  const before = window.carom || {};
  if (before.ready) return;

  // Settings are attributes of the script (data-key) or, where a tag manager drops those, parameters of its
  // URL (?key=). The endpoint is found from the script's own URL, so a proxy on the page's host needs no setting.
  const element = document.currentScript;
  const own = new URL(element.src);
  const setting = (name) => element.dataset[name] || own.searchParams.get(name);
  const pass = setting("nonce") || element.nonce;
  const endpoint = new URL(setting("endpoint") || "api/v1/track", own);
  endpoint.searchParams.set("key", setting("key"));

  // Names of parameters that say by which click a visitor came.
  const clicks = new RegExp("^((utm_|aff|.*(cl(ic)?k?_?id|sub_?id)).*|.*cid|tid|epik|dicbo|tblci|[gw]braid|li_fat_id|" + (setting("ids") || "tid") + ")$", "i");

  // Who it is: nobody without consent, and then nothing is kept but in this page's memory.
  let person;
  let store = {};
  let visit;
  // Whether somebody whom we know came here from a page of the same site.
  let same;
  // The document's own URL, before the page's scripts took the click ids off it.
  let first = (performance.getEntriesByType("navigation")[0] || {}).name;
  // What is not answered yet, by its name in the outbox.
  const flying = {};
  const outcomes = [];

  const say = (...given) => console.warn("carom:", ...given);
  const quietly = (act) => (...given) => {
    try {
      return act(...given);
    } catch (fault) {
      say(fault);
    }
  };

  // Version 4 does not tell when a visitor was first here; version 7, which begins with the time, orders events.
  const uuid = (version, start = "") => {
    for (const byte of crypto.getRandomValues(new Uint8Array(16))) start += (byte | 256).toString(16).slice(1);
    return start.replace(/(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/, `$1-$2-${version}$3-a$4-$5`);
  };

  // ---- What is kept in the browser -------------------------------------------------------

  const put = (entry, value) => {
    try {
      store[entry] = value;
    } catch {
      // The quota is used up, or there is none: memory will do for this page.
      store = { ...store, [entry]: value };
    }
  };
  const entries = (place, start) => Object.keys(place).filter((entry) => entry.startsWith(start)).sort();

  const gpc = navigator.globalPrivacyControl;
  // Who it is, or that nobody may know. To a browser that asks not to be followed, nothing is read.
  const consent = quietly(() => (gpc || document.cookie.match(/carom_visitor=(denied|[^;]{36})/) || [])[1]);

  // The visitor's cookie is of the widest domain that takes one, so that www and checkout share it. A refusal is
  // remembered as such, and does not say whose it was.
  const allow = (yes) => {
    if (gpc) return;
    const old = store;
    let kept = {};
    person = yes ? person || uuid(4) : undefined;
    try {
      const known = consent();
      const labels = location.hostname.split(".");
      let site = "";
      const bake = (value) => (document.cookie = "carom_visitor=" + value + ";domain=" + site + ";path=/;max-age=31536000;samesite=lax" + (location.protocol == "https:" ? ";secure" : ""));
      do {
        site = labels.pop() + site;
        bake("-");
        site = "." + site;
      } while (!document.cookie.includes("carom_visitor=-") && labels[0]);
      if (yes && known && known[6]) {
        person = known;
        same = ("." + document.referrer.split(/[/:]+/)[1]).endsWith(site);
      }
      bake(person || "denied");
      kept = localStorage || kept;
    } catch {
      // A frame without an origin has neither.
    }
    store = yes ? kept : {};
    // What was kept goes along. After a refusal that is into memory, and what waits to be sent is nobody's.
    for (const place of [kept, old])
      for (const entry of place == store ? "" : entries(place, "carom")) {
        const value = place[entry];
        delete place[entry];
        put(entry, yes ? value : value.replace(/(at.:\d+,).visitor.{41}/, "$1"));
      }
  };

  // Who it is now. Another tab, or a page of another of the site's hosts, may have been told otherwise since.
  const who = () => {
    const known = consent();
    if (known && known != (person || "denied")) allow(known != "denied");
    return person;
  };

  // ---- Visits ----------------------------------------------------------------------------

  const here = () => location.href.split("#")[0];
  const ids = (address) => [...new URL(address).searchParams].filter(([name]) => clicks.test(name)).map(String);

  // The visit that this page belongs to: a new one for who comes from elsewhere after half an hour, and whenever a
  // click id appears. It is told once, as soon as that is allowed. A referrer alone makes no visit: whoever comes back
  // from a payment page would lose what he landed with.
  const look = quietly(() => {
    who();
    const now = Date.now();
    let address = here();
    if (first && !ids(address)[0] && ids(first)[0]) address = first.split("#")[0];
    const found = ids(address);
    visit = quietly(JSON.parse)(store.carom_visit || null);
    if (!visit || (first && !same && now - visit.seen > 18e5) || found.some((id) => !visit.marks.includes(id)))
      visit = { url: address, referrer: document.referrer, at: now, marks: found, told: !visit && same && !found[0] };
    first = "";
    visit.seen = now;
    visit.test = visit.test || /[?&]trl_test=1(&|$)/.test(address);
    const tell = person && !visit.told;
    if (tell) visit.told = true;
    put("carom_visit", JSON.stringify(visit));
    if (tell) send({ visit: true }, visit.url);
  });

  // ---- Sending ---------------------------------------------------------------------------

  const send = (what, address = here()) => {
    const now = Date.now();
    const { url, referrer, at } = visit;
    const began = { url, referrer, at };
    const body = {
      at: now,
      visitor: who(),
      v: 1,
      id: uuid(7, 0 + now.toString(16)),
      ...(url == address ? { page: began } : { page: { url: address, referrer: document.referrer }, landing: began }),
      test: visit.test,
      ...what,
    };
    const waiting = entries(store, "carom:");
    if (waiting[49]) drop(waiting[0]);
    return post("carom:" + body.id, JSON.stringify(body));
  };

  // What stands in the outbox is the time at which a page began to send it (13 digits; long ago if nobody is at it), and
  // the body. Two tabs do not send it at once; a copy does no harm, because its id is the same.
  const post = async (entry, text) => {
    put(entry, Date.now() + text);
    flying[entry] = 1;
    try {
      // What is to outlive its page may have 64 KiB in all, or is refused at once; a character has three bytes at most.
      const answer = await fetch(endpoint, { method: "POST", body: text, keepalive: text.length < 21000, credentials: "omit" });
      const { id, pixels, type, detail } = await answer.json();
      // A refusal is final when Carom says so, in a problem document, and not a proxy in between.
      if (!answer.ok && (!type || /5..|408|429/.test(answer.status))) throw type;
      // Another page may have sent it meanwhile, and fired the pixels.
      const ours = entry in store;
      delete store[entry];
      if (!answer.ok) say(type, detail);
      else if (ours && pixels) fire(id, pixels);
      return id;
    } catch {
      rest(entry);
    } finally {
      delete flying[entry];
    }
  };

  const drop = (entry) => {
    say("dropped", entry);
    delete store[entry];
  };
  const content = (entry) => store[entry].slice(13);
  // Nobody is at it any more.
  const rest = (entry) => entry in store && (put(entry, 1e12 + content(entry)), true);

  const flush = () => {
    who();
    for (const entry of entries(store, "carom:"))
      // The body begins with its time. Of what is older than a week, Carom would not believe it.
      if (parseInt(store[entry].slice(19)) < Date.now() - 6048e5) drop(entry);
      // A page that is not seen has nothing to hurry for, and may be about to go: what it began would not be ended.
      else if (!document.hidden && Date.now() - parseInt(store[entry]) > 2e4) post(entry, content(entry));
  };

  // The page goes. What is not answered is the next page's, which need not wait for us.
  const leave = () => {
    report();
    for (const entry in flying)
      // Browsers of before 2025 may know no fetch that outlives its page.
      if (rest(entry) && !("keepalive" in Request.prototype)) navigator.sendBeacon(endpoint, content(entry));
  };

  // ---- Pixels ----------------------------------------------------------------------------

  const fire = (event, pixels) =>
    Promise.all(
      pixels.map(async ({ connector, delivery, sandbox, html }) => {
        const late = new Promise((end) => setTimeout(end, 1e4, "timeout"));
        // Query and fragment of what could not be loaded may say who somebody is.
        const fault = who() ? await Promise.race([(sandbox === false ? inPage : inFrame)(html), late]).then((words) => words && String(words).replace(/[?#]\S*/g, "")).catch(String) : "no consent";
        outcomes.push({ event, connector, delivery, outcome: fault ? "failed" : "fired", detail: fault });
      })
    ).then(report);
  const report = () => outcomes[0] && send({ reports: outcomes.splice(0) });

  const add = (node) => {
    node.style.display = "none";
    document.documentElement.append(node);
  };

  // Runs within the frame, before the pixel, and tells what went wrong there.
  const watch = () => {
    let fault;
    addEventListener("error", ({ message, target }) => (fault = fault || message || "cannot load " + target.src), true);
    addEventListener("load", () => parent.postMessage({ carom: [fault] }, "*"));
  };

  // In a frame with an opaque origin: neither the page's document nor its cookies nor its storage are there.
  const inFrame = (html) =>
    new Promise((end) => {
      const frame = document.createElement("iframe");
      frame.sandbox = "allow-scripts";
      const whole = "<script>(" + watch + ")()</script>" + html;
      // A script's start tag gets the nonce. What is one, and what JavaScript that speaks of one, a parser says that
      // reads as the frame's will, runs nothing, and changes nothing of the text.
      const mark = (tag, at) => tag + (new DOMParser().parseFromString(whole.slice(0, at) + "<script carom " + whole.slice(at + 7), "text/html").querySelector("script[carom]") ? " nonce=" + pass + " " : "");
      frame.srcdoc = pass ? whole.replace(/<script(?=[\s/>])/gi, mark) : whole;
      addEventListener("message", ({ source, data }) => source == frame.contentWindow && data && data.carom && end(data.carom[0]));
      setTimeout(() => frame.remove(), 1e4);
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
    let fault;
    const note = ({ message }) => (fault = fault || message);
    // One after the other, as a parser runs them.
    for (const node of scripts) {
      if (pass) node.nonce = pass;
      const wait = node.src && loaded(node);
      addEventListener("error", note);
      // Whoever writes to a page that has been read replaces it.
      let written = "";
      document.write = document.writeln = (value) => (written += value);
      box.append(node);
      delete document.write;
      delete document.writeln;
      removeEventListener("error", note);
      if (written) waits.push(inPage(written));
      if (wait && !node.hasAttribute("async")) await wait;
      waits.push(wait);
    }
    for (const wait of waits) fault = (await wait) || fault;
    return fault;
  };

  // ---- The page's calls ------------------------------------------------------------------

  const call = quietly((what, name, data, options) => {
    if (what == "consent") allow(name == "granted");
    look();
    if (what == "event") return send({ event: { name, data }, ...options });
  });

  const start = quietly(() => {
    const known = consent();
    if (known || setting("consent") != "required") allow(known != "denied");
    window.carom = async (...given) => call(...given);
    carom.ready = true;
    for (const given of before.q || []) call(...given);
    look();
    flush();
    for (const name of ["pushState", "replaceState"]) {
      const real = history[name];
      history[name] = (...given) => {
        real.apply(history, given);
        look();
      };
    }
    addEventListener("popstate", look);
    addEventListener("online", flush);
    addEventListener("pagehide", leave);
    addEventListener("pageshow", flush);
    document.addEventListener("visibilitychange", flush);
    setInterval(flush, 3e4);
  });

  // A page that is rendered ahead is nobody's visit yet.
  if (document.prerendering) document.addEventListener("prerenderingchange", start);
  else start();
})();
