"""A private CA, made by the program `openssl`, and the certificates that it signs."""

import dataclasses
import subprocess
from pathlib import Path

from tests.support.servers import PATIENCE

CA_EXTENSIONS = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=PATIENCE)


@dataclasses.dataclass(frozen=True)
class Authority:
    """A private CA in a folder of its own, with keys of the kind that the component asks for."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir()
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        out = ("-keyout", self.folder / "ca.key", "-out", self.certificate)
        openssl("req", "-x509", *curve, "-subj", "/CN=eloket-chat", "-days", "2", *CA_EXTENSIONS, *out)

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.crt"

    def renewed(self) -> Path:
        """Another certificate of the CA with the same key, as `rotationPolicy: Never` gives."""
        file = self.folder / "renewed.crt"
        name = ("-key", self.folder / "ca.key", "-subj", "/CN=eloket-chat", "-days", "3")
        openssl("req", "-x509", *name, *CA_EXTENSIONS, "-out", file)
        return file

    def issue(self, name: str, host: str) -> tuple[Path, Path]:
        """The files of a certificate for this host and of its key."""
        request, certificate, key = (self.folder / f"{name}.{kind}" for kind in ("csr", "crt", "key"))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName=DNS:{host}\nextendedKeyUsage=serverAuth\n")
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        openssl("req", "-new", *curve, "-subj", "/", "-keyout", key, "-out", request)
        by = ("-CA", self.certificate, "-CAkey", self.folder / "ca.key", "-CAcreateserial", "-days", "1")
        openssl("x509", "-req", "-in", request, *by, "-extfile", extensions, "-out", certificate)
        return certificate, key
