export default {
  green: "Chatter avec un collaborateur",
  greenHint: "Disponible maintenant",
  blue: "Chat indisponible",
  blueHint: "Consulter la fiche d’information",
  newTab: "(s’ouvre dans un nouvel onglet)",
  live: "Votre conversation",
  liveHint: "Retour à la conversation",
  unread: "non lus",
  failed: "Le chargement a échoué. Réessayez.",
};
