"""`python -m generate` writes the generated files; with `--check` it exits 1 if what is there differs."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

from generate.argocd import build_config_map
from generate.chart import build_template
from generate.chartreadme import insert_values
from generate.crd import build_crd
from generate.dashboard import build_dashboard
from generate.metrics import build_metrics
from generate.reference import build_reference
from generate.yamltext import dump
from mageflow.api import GROUP, KINDS

ARGOCD = Path("integrations/argocd")
CHART = Path("helm/mageflow")
CHART_CRDS = CHART / "templates" / "crds"
ROOT = Path(__file__).parents[2]
NOTICE = "Written by `make generate` from operator/mageflow/api. Edit there."
METRICS_NOTICE = "Written by `make generate` from operator/mageflow/controller/metrics.py. Edit there."


def render_files() -> Iterator[tuple[Path, str]]:
    """Yield the path of each generated file, from the root of the repository, and its text."""
    for kind in KINDS:
        crd, name = build_crd(kind), f"{GROUP}_{kind.plural}.yaml"
        yield Path("crds") / name, f"# {NOTICE}\n{dump(crd)}"
        yield CHART_CRDS / name, f"{{{{/* {NOTICE} */}}}}\n{build_template(crd)}"
    yield Path("docs/reference.md"), f"<!-- {NOTICE} -->\n{build_reference(KINDS)}"
    yield Path("docs/metrics.md"), f"<!-- {METRICS_NOTICE} -->\n{build_metrics()}"
    yield ARGOCD / "argocd-cm.yaml", build_config_map(ROOT / ARGOCD)
    yield CHART / "dashboards" / "mageflow.json", build_dashboard()
    yield CHART / "README.md", insert_values(ROOT / CHART)


def write() -> None:
    """Write the files."""
    for path, text in render_files():
        (ROOT / path).parent.mkdir(exist_ok=True)
        (ROOT / path).write_text(text)
        print(f"wrote {path}")


def check() -> bool:
    """Print how the files differ from what they should be; return whether they don't."""
    is_current = True
    for path, text in render_files():
        found = (ROOT / path).read_text() if (ROOT / path).exists() else ""
        difference = difflib.unified_diff(
            found.splitlines(), text.splitlines(), f"{path} (found)", f"{path} (generated)", lineterm=""
        )
        for line in difference:
            is_current = False
            print(line)
    return is_current


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    if not parser.parse_args().check:
        write()
    elif not check():
        sys.exit("Generated files are out of date: run `make generate` and commit what it writes.")


if __name__ == "__main__":
    main()
