export default {
  cancel: "Annuler",
  cancelled: "Annulé",
  too_large: "Le fichier est trop grand : 10 Mo au plus par fichier, 20 fichiers et 50 Mo par conversation.",
  type_not_allowed: "Type de fichier non accepté. Acceptés : pdf, png, jpeg, gif, webp, texte, csv, OpenDocument et Office sans macros.",
  infected: "Le fichier a été refusé car il semble dangereux.",
  refused: "Ceci n’a pas pu être accepté.",
  saved: "Téléchargé.",
  saveFailed: "Le téléchargement a échoué. Réessayez.",
};
