export default {
  asked: "Bent u er nog?",
  closesMinutes: "Bent u er nog? Dit gesprek wordt over {n} minuten gesloten, om {time} uur, als u niets doet.",
  closesMinute: "Bent u er nog? Dit gesprek wordt binnen een minuut gesloten, om {time} uur, als u niets doet.",
  stay: "Ik ben er nog",
  stayed: "Dank u. Het gesprek blijft open.",
};
