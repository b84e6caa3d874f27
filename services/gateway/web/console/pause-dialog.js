/** The reasons for a pause: the list that the departments of an agent give, and the dialog in which the agent chooses one. */
import { h } from "../shared/dom.js";
import { button } from "./dom.js";
import { show } from "./dialogs.js";

/**
 * RULES: the name of an option of the departments file in this language; its id when the list does not have it (any more).
 *
 * @param {NamedOption[] | undefined} options
 * @param {string} id
 * @param {string} language
 */
export function optionName(options, id, language) {
  const names = options?.find((one) => one.id === id)?.names;
  return names?.[language] ?? names?.nl ?? id;
}

/**
 * Asks why the agent pauses; `onPause(id)` with the reason.
 *
 * @param {Translator} t
 * @param {{reasons: NamedOption[], onPause(id: string): void}} options
 */
export function choosePause(t, { reasons, onPause }) {
  const choices = reasons.map(({ id }) =>
    button(optionName(reasons, id, t.language), { hook: `pause-${id}`, onclick: () => (dialog.close(), onPause(id)) }),
  );
  const no = button(t("dialog.cancel"), { onclick: () => dialog.close() });
  const dialog = show(t("pause.title"), [
    h("div", { class: "body" }, h("p", {}, t("pause.lead")), h("div", { class: "choices" }, ...choices), h("div", { class: "row" }, no)),
  ]);
  choices[0].focus();
}
