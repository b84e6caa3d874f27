export default {
  asked: "Sind Sie noch da?",
  closesMinutes: "Sind Sie noch da? Dieses Gespräch wird in {n} Minuten beendet, um {time} Uhr, wenn Sie nichts tun.",
  closesMinute: "Sind Sie noch da? Dieses Gespräch wird innerhalb einer Minute beendet, um {time} Uhr, wenn Sie nichts tun.",
  stay: "Ich bin noch da",
  stayed: "Danke. Das Gespräch bleibt offen.",
};
