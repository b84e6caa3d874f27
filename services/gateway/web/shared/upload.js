// Sending a file to the server.

/** Milliseconds without a byte of a file after which its transfer has failed. */
export const STALLED = 60_000;

/**
 * Upload one file. XMLHttpRequest, because fetch reports no progress of what it sends.
 *
 * `onProgress` gets 0 to 1. After `STALLED` ms in which no byte moved the upload has failed.
 * `done` resolves to `{status, text}` of the answer, or to `{failure}`: "network" or "cancelled".
 *
 * @param {UploadOptions} options
 */
export function upload({ url, headers = {}, file, onProgress }) {
  const request = new XMLHttpRequest();
  let failure = "cancelled"; // what an abort means
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const watch = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      failure = "network";
      request.abort();
    }, STALLED);
  };
  const done = new Promise((resolve) => {
    request.open("POST", url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ lengthComputable, loaded, total }) => {
      watch();
      if (lengthComputable) onProgress(loaded / total);
    };
    request.onload = () => resolve({ status: request.status, text: request.responseText });
    request.onerror = request.ontimeout = () => resolve({ failure: "network" });
    request.onabort = () => resolve({ failure });
    const form = new FormData();
    form.append("file", file, file.name);
    request.send(form);
    watch();
  });
  return { done: done.finally(() => clearTimeout(timer)), cancel: () => request.abort() };
}
