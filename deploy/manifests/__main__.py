"""`make manifests`: builds every overlay and component and says what does not fit; `--write` renews what is made."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploy.manifests import checkov, codegen
from deploy.manifests.checks import shared_servers, sizes
from deploy.manifests.checks.build import problems
from deploy.manifests.kustomize import BuildFailed, components, overlays, parse, shared, text_of

CHECKOV = Path(sys.prefix) / "checkov" / "bin" / "checkov"


def main() -> int:
    """Run the checks. Return 0 when all pass, 1 when one fails, 2 when they could not run."""
    arguments = argparse.ArgumentParser(prog="make manifests", description=__doc__)
    arguments.add_argument("--write", action="store_true", help="make the files that are made of others")
    if arguments.parse_args().write:
        codegen.write()
    try:
        texts = {
            f"{folder.parent.name}-{folder.name}": text_of(folder) for folder in [*overlays(), *components(), *shared()]
        }
        opinions = checkov.problems(checkov.failures(CHECKOV, texts))
    except (BuildFailed, checkov.CheckFailed) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 2
    found = codegen.problems() + opinions[""]
    for name, text in texts.items():
        objects = parse(text)
        lines = problems(objects) + sizes.problems(objects, name.removeprefix("overlays-")) + opinions[name]
        size = sizes.total(objects) if name.startswith(("overlays-", "several-cities-")) else ""
        print(f"{name:30} {len(objects):3} objects  {len(lines) or 'no'} problems  {size}".rstrip())
        found += [f"{name}: {line}" for line in lines]
    servers, *cities = (parse(texts[f"{folder.parent.name}-{folder.name}"]) for folder in shared())
    found += shared_servers.problems(servers, cities)
    print(*found, f"{len(found)} problems" if found else "everything fits", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
