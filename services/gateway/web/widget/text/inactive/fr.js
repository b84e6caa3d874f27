export default {
  asked: "Êtes-vous toujours là ?",
  closesMinutes: "Êtes-vous toujours là ? Sans réaction de votre part, cette conversation prendra fin dans {n} minutes, à {time}.",
  closesMinute: "Êtes-vous toujours là ? Sans réaction de votre part, cette conversation prendra fin dans moins d’une minute, à {time}.",
  stay: "Je suis toujours là",
  stayed: "Merci. La conversation reste ouverte.",
};
