export default {
  cancel: "Abbrechen",
  cancelled: "Abgebrochen",
  too_large: "Die Datei ist zu groß: höchstens 10 MB je Datei, 20 Dateien und 50 MB je Gespräch.",
  type_not_allowed: "Diese Dateiart geht nicht. Erlaubt: PDF, PNG, JPEG, GIF, WebP, Text, CSV, OpenDocument und Office ohne Makros.",
  infected: "Die Datei wurde abgelehnt, weil sie schädlich scheint.",
  refused: "Das konnte nicht angenommen werden.",
  saved: "Heruntergeladen.",
  saveFailed: "Das Herunterladen ist fehlgeschlagen. Versuchen Sie es erneut.",
};
