// Run once, by the image, on an empty volume: one user for each service, who reads and writes its own database and no other.
for (const service of ["presence", "routing", "transcripts"]) {
  const pwd = process.env[`${service.toUpperCase()}_MONGODB_PASSWORD`];
  if (!pwd) throw new Error(`no password for ${service}`);
  db.getSiblingDB(service).createUser({ user: service, pwd, roles: [{ role: "readWrite", db: service }] });
}
