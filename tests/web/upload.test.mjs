// Mirrors services/gateway/web/shared/upload.js, with a browser whose request the test answers.
import assert from "node:assert/strict";
import test, { mock } from "node:test";
import { STALLED, upload } from "../../services/gateway/web/shared/upload.js";

class Request {
  upload = {};
  headers = {};
  constructor() {
    Request.last = this;
  }
  open(...given) {
    this.opened = given;
  }
  setRequestHeader(name, value) {
    this.headers[name] = value;
  }
  send(form) {
    this.form = form;
  }
  abort() {
    this.onabort();
  }
}

function start(options) {
  globalThis.XMLHttpRequest = Request;
  const seen = [];
  const file = new File(["abc"], "a.txt");
  const { done, cancel } = upload({
    url: "/there",
    file,
    onProgress: (share) => seen.push(share),
    ...options,
  });
  return { request: Request.last, done, cancel, seen };
}

test("the file goes up as a form, with the headers that were given, and the answer comes back as it is", async () => {
  const { request, done, seen } = start({
    headers: { Authorization: "Bearer x" },
  });
  assert.deepEqual(request.opened, ["POST", "/there"]);
  assert.deepEqual(request.headers, { Authorization: "Bearer x" });
  assert.equal(request.form.get("file").name, "a.txt");
  request.upload.onprogress({ lengthComputable: true, loaded: 1, total: 4 });
  request.upload.onprogress({ lengthComputable: false, loaded: 2, total: 0 });
  assert.deepEqual(seen, [0.25]);
  Object.assign(request, { status: 201, responseText: "{}" }).onload();
  assert.deepEqual(await done, { status: 201, text: "{}" });
});

test("a lost network and a cancelled upload are told apart", async () => {
  const lost = start();
  lost.request.onerror();
  assert.deepEqual(await lost.done, { failure: "network" });
  const stopped = start();
  stopped.cancel();
  assert.deepEqual(await stopped.done, { failure: "cancelled" });
});

test("an upload in which no byte moves has failed after its time", async (t) => {
  mock.timers.enable(["setTimeout"]);
  t.after(() => mock.timers.reset());
  const { request, done } = start();
  mock.timers.tick(STALLED - 100);
  request.upload.onprogress({ lengthComputable: true, loaded: 1, total: 4 });
  mock.timers.tick(STALLED - 100);
  let over = false;
  done.then(() => (over = true));
  await null;
  assert.ok(!over);
  mock.timers.tick(100);
  assert.deepEqual(await done, { failure: "network" });
});
